"""Attention and dropout against the library's own, and dropout's law against the binomial one."""

import pytest
import torch
from tiny_models import CONFIGS, tiny_classifier
from torch import nn

from bench.models.attention import Dropout, drop, fast_dropout


@pytest.mark.parametrize("family", CONFIGS)
def test_a_step_without_dropout_is_that_of_the_library(family: str) -> None:
    model = tiny_classifier(family)
    ids = torch.randint(5, 50, (4, 11), generator=torch.Generator().manual_seed(1))
    mask = (torch.arange(11) < torch.tensor([11, 4, 7, 2])[:, None]).long()

    def gradients() -> tuple[torch.Tensor, list[torch.Tensor]]:
        model.zero_grad()
        logits = model(input_ids=ids, attention_mask=mask).logits
        logits.square().sum().backward()
        return logits.detach(), [p.grad.clone() for p in model.parameters() if p.grad is not None]

    wanted_logits, wanted = gradients()
    with fast_dropout(model):
        logits, found = gradients()
    torch.testing.assert_close(logits, wanted_logits)
    assert len(found) == len(wanted)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("family", CONFIGS)
def test_all_dropout_is_ours_inside_the_block_and_the_librarys_again_behind_it(family) -> None:
    model = tiny_classifier(family)
    before = (model.config._attn_implementation, [type(m) for m in model.modules()])
    with pytest.raises(ZeroDivisionError), fast_dropout(model):
        kinds = {type(m) for m in model.modules() if isinstance(m, nn.Dropout)}
        assert kinds == {Dropout}
        raise ZeroDivisionError
    assert (model.config._attn_implementation, [type(m) for m in model.modules()]) == before


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_values_are_dropped_as_often_as_said_and_the_mean_stays(probability: float) -> None:
    torch.manual_seed(0)
    count = 400_003  # no multiple of the four values that one number serves
    dropped = drop(torch.ones(count), probability)
    share = (dropped == 0).double().mean().item()
    deviation = (probability * (1 - probability) / count) ** 0.5
    assert abs(share - probability) < 4 * deviation + 2**-17
    assert dropped.unique().tolist() == pytest.approx([0, 1 / (1 - probability)], rel=1e-4)
    lanes = (dropped[: count // 4 * 4] == 0).double().view(-1, 4)
    assert (lanes.mean(dim=0) - probability).abs().max() < 8 * deviation + 2**-17
    correlations = torch.corrcoef(lanes.T) - torch.eye(4)
    assert correlations.abs().max() < 4 / (count / 4) ** 0.5  # values of one number, independent


def test_the_mask_comes_from_torchs_generator_and_meets_the_gradient() -> None:
    values = torch.ones(7, 3, requires_grad=True)
    torch.manual_seed(3)
    first = drop(values, 0.5)
    first.sum().backward()
    torch.manual_seed(3)
    assert torch.equal(first, drop(values, 0.5))
    assert torch.equal(values.grad, first.detach())
    assert not torch.equal(first, drop(values, 0.5))


def test_dropout_is_off_outside_training() -> None:
    values = torch.randn(50)
    assert torch.equal(Dropout(0.5).eval()(values), values)
    assert torch.equal(Dropout(0.0).train()(values), values)
    assert not torch.equal(Dropout(0.5).train()(values), values)
