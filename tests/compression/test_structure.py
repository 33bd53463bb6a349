"""Which units stay: the best that meet a target exactly, as the counter says of what is cut."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from tiny_models import CONFIGS, tiny_classifier
from transformers import BertConfig

from bench.compression.structure import Structure, most_valuable
from bench.compression.target import Target
from bench.errors import UnreachableError
from bench.models.footprint import compare, count_dense


def values(seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in ((2, 3), (2, 40), (24,))]


def kept_in(structure: Structure) -> list[torch.Tensor]:
    return [getattr(structure, field.name) for field in dataclasses.fields(structure)]


def reached(model, structure: Structure, target: Target) -> float:
    found = compare(count_dense(model), count_dense(structure.cut(model)), target.sequence_length)
    return found[target.axis]["ratio"]


def one_more(structure: Structure):
    """Every structure with one unit more."""
    for field in dataclasses.fields(structure):
        units = getattr(structure, field.name)
        for place in (~units).nonzero().tolist():
            more = units.clone()
            more[tuple(place)] = True
            yield dataclasses.replace(structure, **{field.name: more})


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize(("axis", "ratio"), [("weights", 4), ("weights", 20.5), ("flops", 3)])
def test_the_target_is_met_and_nothing_more_would_fit(family: str, axis: str, ratio: float) -> None:
    model, target = tiny_classifier(family), Target(axis, ratio, 32)
    structure = most_valuable(*values(), target, model.config)
    assert reached(model, structure, target) >= ratio
    others = list(one_more(structure))
    assert others
    assert all(reached(model, other, target) < ratio for other in others)


@pytest.mark.parametrize("ratio", [1.3, 2, 3])
def test_on_bytes_it_is_met_as_nearly_as_a_header_allows(ratio: float) -> None:
    model, target = tiny_classifier("bert"), Target("bytes", ratio, 32)
    structure = most_valuable(*values(), target, model.config)
    assert ratio <= reached(model, structure, target) <= 1.05 * ratio


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_best_stay_as_long_as_all_of_them_fit(seed: int) -> None:
    """Every longest run of the best units that fits, by counting cut models, is kept whole."""
    model, target = tiny_classifier("bert"), Target("weights", 5, 32)
    given = values(seed)
    structure = most_valuable(*given, target, model.config)
    everything = torch.cat([part.flatten() for part in given])
    for threshold in everything.sort(descending=True).values.tolist():
        above = Structure(*(part >= threshold for part in given))
        if not above.layers.any() or not above.dimensions.any():
            continue
        if reached(model, above, target) < 5:
            break
        fitting = above
    for best, kept in zip(kept_in(fitting), kept_in(structure), strict=True):
        assert bool((kept | ~best).all())


def test_parts_that_lost_everything_are_not_revived_for_the_rest_of_a_budget() -> None:
    heads, neurons, dimensions = values()
    heads, neurons = heads.abs() + 1, neurons.abs() + 1
    heads[1], neurons[1], dimensions[:] = -5, -4, 10
    structure = most_valuable(heads, neurons, dimensions, Target("weights", 2.3, 32),
                              tiny_classifier("bert").config)  # fmt: skip
    assert structure.layers.tolist() == [True, False]
    assert str(structure).startswith("width 24, heads ")


def test_at_least_a_neuron_and_a_dimension_stay() -> None:
    config = tiny_classifier("bert").config
    worst = [part - 100 * (place > 0) for place, part in enumerate(values())]
    least = most_valuable(*worst, Target("weights", 2304, 32), config)
    assert [int(part.sum()) for part in kept_in(least)] == [0, 1, 1]
    with pytest.raises(UnreachableError):
        most_valuable(*worst, Target("weights", 1e9, 32), config)


def test_everything_stays_where_nothing_is_asked() -> None:
    structure = most_valuable(*values(), Target("weights", 1, 32), tiny_classifier("bert").config)
    assert all(bool(part.all()) for part in kept_in(structure))


def test_a_large_encoder_takes_no_time_worth_speaking_of() -> None:
    """38,000 units; and the numbers come out as they should."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((12, 12), (12, 3072), (768,))
    given = [torch.randn(shape, generator=generator) for shape in shapes]
    structure = most_valuable(*given, Target("weights", 20), BertConfig())
    width, heads, neurons = (
        int(part.sum()) for part in (structure.dimensions, structure.heads, structure.neurons)
    )
    left = width * (4 * 64 * heads + 2 * neurons)
    assert 0 <= 84_934_656 / 20 - left < 2 * width
