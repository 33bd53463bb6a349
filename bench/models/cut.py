"""Fewer layers, heads, feed-forward neurons and hidden dimensions for real.

Layers may differ then, and heads have another size than width and number say; no stock
configuration knows either, hence one subclass a family, with a `model_type` of its own, that
`import bench` makes known to transformers' Auto classes.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    BertConfig,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForQuestionAnswering,
    DistilBertForSequenceClassification,
    ElectraConfig,
    ElectraForQuestionAnswering,
    ElectraForSequenceClassification,
    RobertaConfig,
    RobertaForQuestionAnswering,
    RobertaForSequenceClassification,
)

from bench.models.families import (
    CUT_PREFIX,
    Layer,
    embedding_projection,
    embeddings,
    family_of,
    head_modules,
    layer_modules,
    layers,
)
from bench.models.heads import SPANS, auto_class, marks_spans

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class CutBertConfig(BertConfig):
    """BERT whose layers differ; the sizes that stock BERT knows are those before the cut.

    But for the number of layers, which is that of the layers that are left.
    """

    model_type = f"{CUT_PREFIX}bert"
    layer_heads: list[int] | None = None
    layer_neurons: list[int] | None = None
    cut_width: int | None = None


class CutRobertaConfig(RobertaConfig):
    """RoBERTa whose layers differ."""

    model_type = f"{CUT_PREFIX}roberta"
    layer_heads: list[int] | None = None
    layer_neurons: list[int] | None = None
    cut_width: int | None = None


class CutElectraConfig(ElectraConfig):
    """ELECTRA whose layers differ."""

    model_type = f"{CUT_PREFIX}electra"
    layer_heads: list[int] | None = None
    layer_neurons: list[int] | None = None
    cut_width: int | None = None


class CutDistilBertConfig(DistilBertConfig):
    """DistilBERT whose layers differ."""

    model_type = f"{CUT_PREFIX}distilbert"
    layer_heads: list[int] | None = None
    layer_neurons: list[int] | None = None
    cut_width: int | None = None


class CutBertForSequenceClassification(BertForSequenceClassification):
    """A BERT classifier that lacks some of its parts."""

    config_class = CutBertConfig

    def __init__(self, config: CutBertConfig) -> None:
        super().__init__(config)
        _to_size(self)


class CutRobertaForSequenceClassification(RobertaForSequenceClassification):
    """A RoBERTa classifier that lacks some of its parts."""

    config_class = CutRobertaConfig

    def __init__(self, config: CutRobertaConfig) -> None:
        super().__init__(config)
        _to_size(self)


class CutElectraForSequenceClassification(ElectraForSequenceClassification):
    """An ELECTRA classifier that lacks some of its parts."""

    config_class = CutElectraConfig

    def __init__(self, config: CutElectraConfig) -> None:
        super().__init__(config)
        _to_size(self)


class CutDistilBertForSequenceClassification(DistilBertForSequenceClassification):
    """A DistilBERT classifier that lacks some of its parts."""

    config_class = CutDistilBertConfig

    def __init__(self, config: CutDistilBertConfig) -> None:
        super().__init__(config)
        _to_size(self)


class CutBertForQuestionAnswering(BertForQuestionAnswering):
    """A BERT that marks spans and lacks some of its parts."""

    config_class = CutBertConfig

    def __init__(self, config: CutBertConfig) -> None:
        super().__init__(config)
        _to_size(self)


class CutRobertaForQuestionAnswering(RobertaForQuestionAnswering):
    """A RoBERTa that marks spans and lacks some of its parts."""

    config_class = CutRobertaConfig

    def __init__(self, config: CutRobertaConfig) -> None:
        super().__init__(config)
        _to_size(self)


class CutElectraForQuestionAnswering(ElectraForQuestionAnswering):
    """An ELECTRA that marks spans and lacks some of its parts."""

    config_class = CutElectraConfig

    def __init__(self, config: CutElectraConfig) -> None:
        super().__init__(config)
        _to_size(self)


class CutDistilBertForQuestionAnswering(DistilBertForQuestionAnswering):
    """A DistilBERT that marks spans and lacks some of its parts."""

    config_class = CutDistilBertConfig

    def __init__(self, config: CutDistilBertConfig) -> None:
        super().__init__(config)
        _to_size(self)


_CUT: dict[tuple[str, bool], Any] = {
    (cls.config_class.model_type.removeprefix(CUT_PREFIX), cls.__name__.endswith(SPANS)): cls
    for cls in (
        CutBertForSequenceClassification,
        CutRobertaForSequenceClassification,
        CutElectraForSequenceClassification,
        CutDistilBertForSequenceClassification,
        CutBertForQuestionAnswering,
        CutRobertaForQuestionAnswering,
        CutElectraForQuestionAnswering,
        CutDistilBertForQuestionAnswering,
    )
}
"""By family, and by whether they mark spans."""


def cut(
    model: PreTrainedModel,
    heads: Sequence[Sequence[int]],
    neurons: Sequence[Sequence[int]],
    *,
    stay: Sequence[int] | None = None,
    dimensions: Sequence[int] | None = None,
) -> PreTrainedModel:
    """A copy of a model with a head in which only some of its parts are left.

    Args:
        model: The model, stock or cut.
        heads: For each layer that stays, the numbers of its heads that stay; it may be none.
        neurons: The same for its feed-forward neurons.
        stay: The numbers of the layers that stay, in order; all of them by default. The others go
            whole, with biases and normalisations.
        dimensions: The numbers of the hidden dimensions that stay; all of them by default. What
            normalises them normalises those that are left.

    Returns:
        A model that predicts what `model` would if the other layers handed on what they are given,
        the other heads' and neurons' weights and biases were zero, and no matrix, embedding or
        normalisation knew of the other dimensions.
    """
    source = copy.deepcopy(model)
    kept = range(len(layers(source))) if stay is None else stay
    _keep_layers(source, kept)
    for layer, some_heads, some_neurons in zip(layers(source), heads, neurons, strict=True):
        _keep(layer, some_heads, some_neurons)
    known = model.config.to_dict()
    for name in ("model_type", "architectures", "layer_heads", "layer_neurons"):
        known.pop(name, None)
    if dimensions is not None:
        _keep_dimensions(source, dimensions)
        known["cut_width"] = len(dimensions)
    cls = _CUT[family_of(model).model_type, marks_spans(model)]
    config = cls.config_class(
        **known,
        layer_heads=[len(some) for some in heads],
        layer_neurons=[len(some) for some in neurons],
    )
    config.architectures = [cls.__name__]
    config.num_hidden_layers = len(kept)
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
    if config.cut_width is not None:
        _keep_dimensions(model, range(config.cut_width))


def _keep_layers(model: PreTrainedModel, numbers: Sequence[int]) -> None:
    """Leaves some layers of a model, in place."""
    every = layer_modules(model)
    model.base_model.set_submodule(
        family_of(model).layers, nn.ModuleList(every[number] for number in numbers)
    )


@torch.no_grad()
def _keep(layer: Layer, heads: Sequence[int], neurons: Sequence[int]) -> None:
    """Leaves some heads and neurons of a layer, in place."""
    size = layer.head_size
    units = [head * size + place for head in heads for place in range(size)]
    for matrix in (layer.query, layer.key, layer.value):
        _select(matrix, 0, units)
    _select(layer.attention_output, 1, units)
    _select(layer.intermediate, 0, neurons)
    _select(layer.output, 1, neurons)


@torch.no_grad()
def _keep_dimensions(model: PreTrainedModel, units: Sequence[int]) -> None:
    """Leaves some hidden dimensions of a model, in place."""
    projection = embedding_projection(model)
    if projection is not None:
        _select(projection, 0, units)
    else:  # ELECTRA's embeddings have a width of their own before their projection
        _narrow(embeddings(model), units)
    for layer in layers(model):
        for matrix in (layer.query, layer.key, layer.value, layer.intermediate):
            _select(matrix, 1, units)
        for matrix in (layer.attention_output, layer.output):
            _select(matrix, 0, units)
    for module in layer_modules(model):
        _narrow(module, units)
    _select(next(iter(head_modules(model).values())), 1, units)


def _narrow(parent: nn.Module, units: Sequence[int]) -> None:
    """Leaves some dimensions of all embeddings and normalisations within a module."""
    for module in parent.modules():
        if isinstance(module, nn.Embedding):
            module.weight = _selected(module.weight, 1, units)
            module.embedding_dim = len(units)
        elif isinstance(module, nn.LayerNorm):
            module.weight = _selected(module.weight, 0, units)
            module.bias = _selected(module.bias, 0, units)
            module.normalized_shape = (len(units),)


def _select(linear: nn.Linear, dim: int, units: Sequence[int]) -> None:
    """Leaves some outputs (dim 0) or inputs (dim 1) of a linear layer."""
    linear.weight = _selected(linear.weight, dim, units)
    if dim == 0:
        linear.bias = _selected(linear.bias, 0, units)
        linear.out_features = len(units)
    else:
        linear.in_features = len(units)


def _selected(parameter: Tensor, dim: int, units: Sequence[int]) -> nn.Parameter:
    index = torch.tensor(units, dtype=torch.long, device=parameter.device)
    return nn.Parameter(parameter.index_select(dim, index).contiguous())


for (_, _spans), _class in _CUT.items():
    AutoConfig.register(_class.config_class.model_type, _class.config_class, exist_ok=True)
    auto_class(spans=_spans).register(_class.config_class, _class)
