"""Fewer heads and feed-forward neurons for real.

Layers may differ then; no stock configuration can say so, hence one subclass a family, with a
`model_type` of its own, that `import bench` makes known to transformers' Auto classes.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ElectraConfig,
    ElectraForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from bench.models.families import (
    CUT_PREFIX,
    Layer,
    family_of,
    layers,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class CutBertConfig(BertConfig):
    """BERT whose layers differ; the sizes that stock BERT knows are those before the cut."""

    model_type = f"{CUT_PREFIX}bert"
    layer_heads: list[int] | None = None
    layer_neurons: list[int] | None = None


class CutRobertaConfig(RobertaConfig):
    """RoBERTa whose layers differ."""

    model_type = f"{CUT_PREFIX}roberta"
    layer_heads: list[int] | None = None
    layer_neurons: list[int] | None = None


class CutElectraConfig(ElectraConfig):
    """ELECTRA whose layers differ."""

    model_type = f"{CUT_PREFIX}electra"
    layer_heads: list[int] | None = None
    layer_neurons: list[int] | None = None


class CutDistilBertConfig(DistilBertConfig):
    """DistilBERT whose layers differ."""

    model_type = f"{CUT_PREFIX}distilbert"
    layer_heads: list[int] | None = None
    layer_neurons: list[int] | None = None


class CutBertForSequenceClassification(BertForSequenceClassification):
    """A BERT classifier that lacks heads and neurons."""

    config_class = CutBertConfig

    def __init__(self, config: CutBertConfig) -> None:
        super().__init__(config)
        _to_size(self)


class CutRobertaForSequenceClassification(RobertaForSequenceClassification):
    """A RoBERTa classifier that lacks heads and neurons."""

    config_class = CutRobertaConfig

    def __init__(self, config: CutRobertaConfig) -> None:
        super().__init__(config)
        _to_size(self)


class CutElectraForSequenceClassification(ElectraForSequenceClassification):
    """An ELECTRA classifier that lacks heads and neurons."""

    config_class = CutElectraConfig

    def __init__(self, config: CutElectraConfig) -> None:
        super().__init__(config)
        _to_size(self)


class CutDistilBertForSequenceClassification(DistilBertForSequenceClassification):
    """A DistilBERT classifier that lacks heads and neurons."""

    config_class = CutDistilBertConfig

    def __init__(self, config: CutDistilBertConfig) -> None:
        super().__init__(config)
        _to_size(self)


_CUT: dict[str, Any] = {
    cls.config_class.model_type.removeprefix(CUT_PREFIX): cls
    for cls in (
        CutBertForSequenceClassification,
        CutRobertaForSequenceClassification,
        CutElectraForSequenceClassification,
        CutDistilBertForSequenceClassification,
    )
}


def cut(
    model: PreTrainedModel, heads: Sequence[Sequence[int]], neurons: Sequence[Sequence[int]]
) -> PreTrainedModel:
    """A copy of a classifier in which only some heads and feed-forward neurons are left.

    Args:
        model: A classifier, stock or cut.
        heads: For each layer, the numbers of the heads that stay; it may be none.
        neurons: For each layer, the numbers of the neurons that stay; it may be none.

    Returns:
        A model that predicts what `model` would with the others' weights and biases at zero.
    """
    source = copy.deepcopy(model)
    for layer, some_heads, some_neurons in zip(layers(source), heads, neurons, strict=True):
        _keep(layer, some_heads, some_neurons)
    cls = _CUT[family_of(model).model_type]
    known = model.config.to_dict()
    for name in ("model_type", "architectures", "layer_heads", "layer_neurons"):
        known.pop(name, None)
    config = cls.config_class(
        **known,
        layer_heads=[len(some) for some in heads],
        layer_neurons=[len(some) for some in neurons],
    )
    config._attn_implementation = model.config._attn_implementation
    with torch.device("meta"):
        smaller: PreTrainedModel = cls(config)
    smaller.to_empty(device=model.device)
    _copy_buffers(source, smaller)
    smaller.load_state_dict(source.state_dict())
    smaller.train(model.training)
    return smaller


def _copy_buffers(source: nn.Module, target: nn.Module) -> None:
    """Copies what no state holds, such as position numbers."""
    buffers = dict(source.named_buffers())
    for name, buffer in target.named_buffers():
        buffer.copy_(buffers[name])


def _to_size(model: PreTrainedModel) -> None:
    """Brings the layers of a new model to the sizes that its configuration says."""
    config = model.config
    if config.layer_heads is None or config.layer_neurons is None:
        return
    sizes = zip(layers(model), config.layer_heads, config.layer_neurons, strict=True)
    for layer, some_heads, some_neurons in sizes:
        _keep(layer, range(some_heads), range(some_neurons))


@torch.no_grad()
def _keep(layer: Layer, heads: Sequence[int], neurons: Sequence[int]) -> None:
    """Leaves some heads and neurons of a layer, in place."""
    size = layer.head_size
    units = [head * size + place for head in heads for place in range(size)]
    for matrix in (layer.query, layer.key, layer.value):
        _select(matrix, 0, units)
    _select(layer.attention_output, 1, units)
    _select(layer.intermediate, 0, list(neurons))
    _select(layer.output, 1, list(neurons))


def _select(linear: nn.Linear, dim: int, units: Sequence[int]) -> None:
    """Leaves some outputs (dim 0) or inputs (dim 1) of a linear layer."""
    index = torch.tensor(units, dtype=torch.long, device=linear.weight.device)
    linear.weight = nn.Parameter(linear.weight.index_select(dim, index).contiguous())
    if dim == 0:
        linear.bias = nn.Parameter(linear.bias.index_select(0, index))
        linear.out_features = len(units)
    else:
        linear.in_features = len(units)


for _class in _CUT.values():
    AutoConfig.register(_class.config_class.model_type, _class.config_class)
    AutoModelForSequenceClassification.register(_class.config_class, _class)
