"""Where layers, matrices, embeddings and head lie in each family of encoders: one table.

Everything else addresses a model through this module, whether it is a bare encoder, a sequence
classifier or a masked language model. Sizes are read from the modules themselves, so that layers
may differ in heads and neurons.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bench.errors import BenchError

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig, PreTrainedModel


CUT_PREFIX = "cut-"
"""What precedes a family's `model_type` where heads, neurons or layers were removed for real."""

MASK_PREFIX = "mask-"
"""What precedes it where each layer begins with mask attention (`bench.models.mask_attention`)."""

MASK_ATTENTION = "mask_attention"
"""Path from a layer to its mask attention, where it has one."""

Mask = Literal["learnt", "ones", "identity"]
"""The mask of mask attention: learnt, or one that stays."""

SPAN_HEAD = "qa_outputs"
"""What every family calls the head that marks spans: two outputs on every token."""

MATRICES = ("query", "key", "value", "attention_output", "intermediate", "output")
"""The six prunable matrices of a layer; each is a field of `Family` (a path) and of `Layer`."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """Module paths and configuration names of one family.

    Attributes:
        model_type: The configuration's `model_type`.
        layers: Path from the encoder to its list of layers.
        attention: Path from a layer to its self-attention, which knows its `attention_head_size`.
        query: Path from a layer to the query matrix, hidden size → heads × head size.
        key: The same for the key matrix.
        value: The same for the value matrix.
        attention_output: Path to the matrix heads × head size → hidden size.
        intermediate: Path to the feed-forward matrix hidden size → neurons.
        output: Path to the feed-forward matrix neurons → hidden size.
        pooler: Path from the encoder to the dense layer on the first token, where it has one.
        head: Paths from the classifier to its linear layers behind the encoder, on one token each.
        embeddings: Path from the encoder to its embeddings.
        embedding_projection: Path from the encoder to the linear layer that widens the embeddings,
            on every token, where it has one.
        neurons: The configuration's name for the number of neurons of a feed-forward layer.
        dropout: Names of the configuration's dropout probabilities.
        positions_after_padding: Whether positions are numbered from the padding token's index on,
            so that the first rows of the position embeddings serve no text.
    """

    model_type: str
    layers: str = "encoder.layer"
    attention: str = "attention.self"
    query: str = "attention.self.query"
    key: str = "attention.self.key"
    value: str = "attention.self.value"
    attention_output: str = "attention.output.dense"
    intermediate: str = "intermediate.dense"
    output: str = "output.dense"
    pooler: str | None = None
    head: tuple[str, ...] = ("classifier.dense", "classifier.out_proj")
    embeddings: str = "embeddings"
    embedding_projection: str | None = None
    neurons: str = "intermediate_size"
    dropout: tuple[str, ...] = (
        "hidden_dropout_prob",
        "attention_probs_dropout_prob",
        "classifier_dropout",
    )
    positions_after_padding: bool = False


FAMILIES = {
    family.model_type: family
    for family in (
        Family(model_type="bert", pooler="pooler.dense", head=("classifier",)),
        Family(model_type="roberta", pooler="pooler.dense", positions_after_padding=True),
        Family(model_type="electra", embedding_projection="embeddings_project"),
        Family(
            model_type="distilbert",
            layers="transformer.layer",
            attention="attention",
            query="attention.q_lin",
            key="attention.k_lin",
            value="attention.v_lin",
            attention_output="attention.out_lin",
            intermediate="ffn.lin1",
            output="ffn.lin2",
            head=("pre_classifier", "classifier"),
            neurons="hidden_dim",
            dropout=("dropout", "attention_dropout", "seq_classif_dropout", "qa_dropout"),
        ),
    )
}
"""The families by `model_type`."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer's six matrices, each weight `[out_features, in_features]`.

    Attributes:
        head_size: Width of one head.
    """

    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    attention_output: nn.Linear
    intermediate: nn.Linear
    output: nn.Linear
    head_size: int

    @property
    def heads(self) -> int:
        """Number of heads that this layer has, which may be none."""
        return self.value.weight.shape[0] // self.head_size

    @property
    def matrices(self) -> dict[str, nn.Linear]:
        """The six matrices by name, in the order of `MATRICES`."""
        return {name: getattr(self, name) for name in MATRICES}


def family_of(model_or_config: PreTrainedModel | PretrainedConfig) -> Family:
    """The family of a model or of its configuration; a changed model has that of its origin.

    That is, a cut one, and one with mask attention.

    Raises:
        BenchError: The model is of another family.
    """
    config = getattr(model_or_config, "config", model_or_config)
    return family_named(str(config.model_type))


def family_named(model_type: str) -> Family:
    """The family that a configuration's `model_type` names.

    Raises:
        BenchError: It is another one.
    """
    family = FAMILIES.get(model_type.removeprefix(CUT_PREFIX).removeprefix(MASK_PREFIX))
    if family is None:
        known = ", ".join(FAMILIES)
        raise BenchError(f"models of type '{model_type}' are not supported; known: {known}.")
    return family


@dataclass(frozen=True)
class Shape:
    """What a family's layers are like, where all are alike.

    Attributes:
        layers: Number of layers.
        width: Hidden size.
        heads: Attention heads of a layer.
        neurons: Feed-forward neurons of a layer.
    """

    layers: int
    width: int
    heads: int
    neurons: int

    def __str__(self) -> str:
        return f"{self.layers} layers × {self.width} × {self.neurons}, {self.heads} heads"


def shape_of(config: PretrainedConfig) -> Shape:
    """The shape that a configuration describes."""
    return Shape(
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        heads=config.num_attention_heads,
        neurons=getattr(config, family_of(config).neurons),
    )


def reshaped(config: PretrainedConfig, shape: Shape) -> PretrainedConfig:
    """A copy of a configuration in another shape; ELECTRA's embeddings keep their own width."""
    changed = copy.deepcopy(config)
    changed.num_hidden_layers = shape.layers
    changed.hidden_size = shape.width
    changed.num_attention_heads = shape.heads
    setattr(changed, family_of(config).neurons, shape.neurons)
    return changed


def has_segments(config: PretrainedConfig) -> bool:
    """Whether a model tells the first text of a pair from the second by an embedding."""
    return int(getattr(config, "type_vocab_size", 0)) > 1


def max_text_positions(config: PretrainedConfig) -> int:
    """The largest number of tokens, special ones included, that a sequence may have."""
    reserved = config.pad_token_id + 1 if family_of(config).positions_after_padding else 0
    return int(config.max_position_embeddings - reserved)


def layer_modules(model: PreTrainedModel) -> list[nn.Module]:
    """The layers as modules, first to last."""
    return list(model.base_model.get_submodule(family_of(model).layers).children())


def layers(model: PreTrainedModel) -> list[Layer]:
    """The layers, first to last."""
    family = family_of(model)
    found = []
    for layer in layer_modules(model):
        matrices: dict[str, Any] = {
            name: layer.get_submodule(getattr(family, name)) for name in MATRICES
        }
        attention: Any = layer.get_submodule(family.attention)
        found.append(Layer(**matrices, head_size=attention.attention_head_size))
    return found


def mask_attentions(model: PreTrainedModel) -> list[Any]:
    """The mask attention of each layer, first to last; none in a model that has none."""
    found = [getattr(layer, MASK_ATTENTION, None) for layer in layer_modules(model)]
    return [inserted for inserted in found if inserted is not None]


def prunable(model: PreTrainedModel) -> dict[str, nn.Linear]:
    """The six matrices of every layer, by the module's name within `model`, layer by layer.

    Behind the six stand those of the layer's mask attention, where it has one.
    """
    family, inserted = family_of(model), mask_attentions(model)
    found = {}
    for number, layer in enumerate(layers(model)):
        path = f"{_encoder_prefix(model)}{family.layers}.{number}"
        for name, matrix in layer.matrices.items():
            found[f"{path}.{getattr(family, name)}"] = matrix
        for name, matrix in inserted[number].matrices.items() if inserted else ():
            found[f"{path}.{MASK_ATTENTION}.{name}"] = matrix
    return found


def head_modules(model: PreTrainedModel) -> dict[str, nn.Linear]:
    """Pooler and classifier, or what marks spans, by the module's name; input side first.

    The former act on one token an example, the latter acts on each. The head of a masked language
    model is not among them.
    """
    family = family_of(model)
    pooler = [f"{_encoder_prefix(model)}{family.pooler}"] if family.pooler else []
    modules: dict[str, Any] = dict(model.named_modules())
    return {name: modules[name] for name in (*pooler, *family.head, SPAN_HEAD) if name in modules}


def embeddings(model: PreTrainedModel) -> nn.Module:
    """Word, position and segment embeddings with their normalisation."""
    return model.base_model.get_submodule(family_of(model).embeddings)


def embedding_projection(model: PreTrainedModel) -> nn.Linear | None:
    """The linear layer from embedding size to hidden size (ELECTRA), where `model` has one."""
    path = family_of(model).embedding_projection
    return getattr(model.base_model, path, None) if path else None


def embedding_modules(model: PreTrainedModel) -> list[nn.Module]:
    """All that makes the first layer's input: the embeddings, and their projection if any."""
    projection = embedding_projection(model)
    return [embeddings(model), *([projection] if projection is not None else [])]


def _encoder_prefix(model: PreTrainedModel) -> str:
    """What precedes the encoder's module names within `model`; nothing for a bare encoder."""
    return "" if model.base_model is model else f"{model.base_model_prefix}."
