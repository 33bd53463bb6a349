"""Mask attention networks: stock classifiers whose layers begin with attention under a mask.

Fan et al. (2021, arXiv:2103.13597): a layer is dynamic mask attention, self-attention and
feed-forward, each with matrices of its own, a residual and a normalisation. In each head h,

    S_ij = M_ij · exp(q_i·k_j / √d) / Σ_k M_ik · exp(q_i·k_k / √d),     A = S·V,
    M_ij = σ(w·x_i + P[i−j] + U[h]),

where w and P are the layer's. A mask of ones is self-attention, and the identity gives A = V, which
looks at no other token, as a feed-forward part does. The authors' code has a ReLU behind A, which
their formula has not: with it, a mask of ones would be no self-attention.

No stock configuration knows such layers, hence one subclass a family, as for cut models.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, cast, get_args

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
    PreTrainedModel,
    RobertaConfig,
    RobertaForQuestionAnswering,
    RobertaForSequenceClassification,
)

from bench.errors import BenchError
from bench.models.attention import attention
from bench.models.families import (
    FAMILIES,
    MASK_ATTENTION,
    MASK_PREFIX,
    Mask,
    embedding_projection,
    embeddings,
    family_of,
    layer_modules,
    mask_attentions,
    max_text_positions,
)
from bench.models.heads import SPANS, auto_class, marks_spans

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class MaskAttention(nn.Module):
    """Attention under a mask, with its residual and its normalisation.

    Args:
        config: The classifier's, whose `mask` says which mask it is.
    """

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__()
        width, heads = config.hidden_size, config.num_attention_heads
        hidden, weights, *_ = (getattr(config, name) for name in family_of(config).dropout)
        self.mask: Mask = config.mask
        self.attention_head_size = width // heads
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.output = nn.Linear(width, width), nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=getattr(config, "layer_norm_eps", 1e-12))
        self.dropout, self._weight_dropout = nn.Dropout(hidden), weights
        self._deviation = config.initializer_range
        if self.mask == "learnt":
            self.gate = nn.Linear(width, 1, bias=False)
            self.distances = nn.Parameter(torch.empty(2 * max_text_positions(config) - 1))
            self.heads = nn.Parameter(torch.empty(heads))
        self.draw()

    @property
    def matrices(self) -> dict[str, nn.Linear]:
        """Its matrices by name; that of the mask, w, has one row."""
        return {name: m for name, m in self.named_children() if isinstance(m, nn.Linear)}

    @torch.no_grad()
    def draw(self, generator: torch.Generator | None = None) -> None:
        """Draws all weights: matrices as the family does, the mask as the authors do."""
        for name, matrix in self.matrices.items():
            if name != "gate":
                matrix.weight.normal_(std=self._deviation, generator=generator)
                matrix.bias.zero_()
        if self.mask == "learnt":
            nn.init.xavier_uniform_(self.gate.weight, generator=generator)
            self.distances.normal_(generator=generator)
            self.heads.normal_(generator=generator)

    def forward(self, hidden: Tensor, padding: Tensor | None) -> Tensor:
        """Hidden states, `[rows, pieces, width]`, from such.

        Args:
            hidden: Hidden states.
            padding: As a layer of the family gets it: which pairs count, or what is added to their
                scores, `[rows, 1, 1 or pieces, pieces]`; `None` where all count.
        """
        query, key, value = (
            matrix(hidden).unflatten(-1, (-1, self.attention_head_size)).transpose(1, 2)
            for matrix in (self.query, self.key, self.value)
        )
        summand = self.log_mask(hidden)
        if padding is not None and padding.dtype == torch.bool:
            least = torch.finfo(summand.dtype).min
            padding = summand.new_zeros(padding.shape).masked_fill(~padding, least)
        if padding is not None:
            summand = summand + padding
        dropout = self._weight_dropout if self.training else 0.0
        mixed, _ = attention(self, query, key, value, summand, dropout=dropout)
        states: Tensor = self.norm(hidden + self.dropout(self.output(mixed.flatten(2))))
        return states

    def log_mask(self, hidden: Tensor) -> Tensor:
        """What is added to the scores: log M, `[rows or 1, heads or 1, pieces, pieces]`."""
        pieces = hidden.shape[1]
        if self.mask == "ones":
            return hidden.new_zeros(1, 1, pieces, pieces)
        place = torch.arange(pieces, device=hidden.device)
        distance = place[:, None] - place[None, :]
        if self.mask == "identity":
            nothing = hidden.new_zeros(1, 1, pieces, pieces)
            return nothing.masked_fill(distance != 0, -torch.inf)
        by_distance = self.distances[distance + len(self.distances) // 2]
        logits = self.gate(hidden).unsqueeze(1) + by_distance + self.heads[:, None, None]
        return nn.functional.logsigmoid(logits)


class _MaskFirst(nn.Module):
    """What a layer of any family becomes: its input goes through mask attention first."""

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, *rest: Any, **known: Any
    ) -> Any:
        """The layer's own output for what mask attention makes of its input."""
        masked: Any = self.get_submodule(MASK_ATTENTION)
        states = masked(hidden_states, attention_mask)
        return super().forward(states, attention_mask, *rest, **known)


@functools.cache
def _with_mask(layer: Any) -> Any:
    """A layer's class with mask attention first; to the library it is that layer still."""
    return type(f"Mask{layer.__name__}", (_MaskFirst, layer), {})


class MaskBertConfig(BertConfig):
    """BERT with mask attention."""

    model_type = f"{MASK_PREFIX}bert"
    mask: str = "learnt"


class MaskRobertaConfig(RobertaConfig):
    """RoBERTa with mask attention."""

    model_type = f"{MASK_PREFIX}roberta"
    mask: str = "learnt"


class MaskElectraConfig(ElectraConfig):
    """ELECTRA with mask attention."""

    model_type = f"{MASK_PREFIX}electra"
    mask: str = "learnt"


class MaskDistilBertConfig(DistilBertConfig):
    """DistilBERT with mask attention."""

    model_type = f"{MASK_PREFIX}distilbert"
    mask: str = "learnt"


class _Masked(PreTrainedModel):
    """A model with a head of any family, each of whose layers begins with mask attention."""

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        for layer in layer_modules(self):
            stock: Any = type(layer)
            layer.__class__ = _with_mask(stock)
            layer.add_module(MASK_ATTENTION, MaskAttention(config))


class MaskBertForSequenceClassification(_Masked, BertForSequenceClassification):
    """A BERT classifier with mask attention."""

    config_class = MaskBertConfig


class MaskRobertaForSequenceClassification(_Masked, RobertaForSequenceClassification):
    """A RoBERTa classifier with mask attention."""

    config_class = MaskRobertaConfig


class MaskElectraForSequenceClassification(_Masked, ElectraForSequenceClassification):
    """An ELECTRA classifier with mask attention."""

    config_class = MaskElectraConfig


class MaskDistilBertForSequenceClassification(_Masked, DistilBertForSequenceClassification):
    """A DistilBERT classifier with mask attention."""

    config_class = MaskDistilBertConfig


class MaskBertForQuestionAnswering(_Masked, BertForQuestionAnswering):
    """A BERT that marks spans with mask attention."""

    config_class = MaskBertConfig


class MaskRobertaForQuestionAnswering(_Masked, RobertaForQuestionAnswering):
    """A RoBERTa that marks spans with mask attention."""

    config_class = MaskRobertaConfig


class MaskElectraForQuestionAnswering(_Masked, ElectraForQuestionAnswering):
    """An ELECTRA that marks spans with mask attention."""

    config_class = MaskElectraConfig


class MaskDistilBertForQuestionAnswering(_Masked, DistilBertForQuestionAnswering):
    """A DistilBERT that marks spans with mask attention."""

    config_class = MaskDistilBertConfig


_MASKED: dict[tuple[str, bool], Any] = {
    (cls.config_class.model_type.removeprefix(MASK_PREFIX), cls.__name__.endswith(SPANS)): cls
    for cls in (
        MaskBertForSequenceClassification,
        MaskRobertaForSequenceClassification,
        MaskElectraForSequenceClassification,
        MaskDistilBertForSequenceClassification,
        MaskBertForQuestionAnswering,
        MaskRobertaForQuestionAnswering,
        MaskElectraForQuestionAnswering,
        MaskDistilBertForQuestionAnswering,
    )
}
"""By family, and by whether they mark spans."""


def mask_attention_config(config: PretrainedConfig, mask: Mask = "learnt") -> PretrainedConfig:
    """A stock configuration's shape with mask attention first in each layer.

    Args:
        config: A stock configuration of one of `FAMILIES`.
        mask: `learnt`, or one that stays: `ones`, `identity`.

    Raises:
        BenchError: It is no stock configuration, or there is no such mask.
    """
    if config.model_type not in FAMILIES:
        raise BenchError(
            f"mask attention goes into stock models ({', '.join(FAMILIES)}), and not into one of "
            f"type '{config.model_type}'."
        )
    if mask not in get_args(Mask):
        raise BenchError(f"there is no mask '{mask}': known are {', '.join(get_args(Mask))}.")
    known = config.to_dict()
    for name in ("model_type", "architectures"):
        known.pop(name, None)
    cls = _MASKED[config.model_type, marks_spans(config)]
    made: PretrainedConfig = cls.config_class(**known, mask=mask)
    made.architectures = [cls.__name__]
    return made


@torch.no_grad()
def insert_mask_attention(
    model: PreTrainedModel, mask: Mask = "learnt", *, seed: int = 0
) -> PreTrainedModel:
    """A stock classifier as one with mask attention first in each layer.

    What is inserted hands on nearly what it is given, so that what the model knows is not lost: its
    output matrix begins at zero, and the scales and shifts of its normalisation are those of what
    comes in.

    Args:
        model: A stock classifier.
        mask: `learnt`, or one that stays: `ones`, `identity`.
        seed: What the new weights are drawn from; everything else is the model's.

    Raises:
        BenchError: It is no stock model, or there is no such mask.
    """
    config = mask_attention_config(model.config, mask)
    config._attn_implementation = model.config._attn_implementation
    with torch.random.fork_rng(devices=[]):  # all that is drawn in here is replaced
        made: PreTrainedModel = _MASKED[model.config.model_type, marks_spans(model)](config)
    made.load_state_dict(model.state_dict(), strict=False)
    generator = torch.Generator().manual_seed(seed)
    statistics = _input_statistics(model)
    for inserted, (mean, deviation) in zip(mask_attentions(made), statistics, strict=True):
        inserted.draw(generator)
        inserted.output.weight.zero_()
        inserted.norm.weight.fill_(deviation)
        inserted.norm.bias.fill_(mean)
    made.to(model.device)  # type: ignore[arg-type]
    made.train(model.training)
    return made


def _input_statistics(model: PreTrainedModel) -> list[tuple[float, float]]:
    """Mean and standard deviation over dimensions of what each layer is given, as its norm says.

    Before scales g and shifts s, a normalised state has mean 0 and variance 1; after them the mean
    is that of s, and the variance that of s and the mean of g².
    """
    sources = [embeddings(model), *layer_modules(model)[:-1]]
    found = []
    for number, source in enumerate(sources):
        norm = [module for module in source.modules() if isinstance(module, nn.LayerNorm)][-1]
        squares, shifts = norm.weight.square(), norm.bias
        if not number and (projection := embedding_projection(model)) is not None:
            squares = projection.weight.square() @ squares
            shifts = projection(shifts)
        variance = squares.mean() + shifts.var(unbiased=False)
        found.append((float(shifts.mean()), float(variance.sqrt())))
    return found


for (_, _spans), _class in _MASKED.items():
    AutoConfig.register(_class.config_class.model_type, _class.config_class, exist_ok=True)
    auto_class(spans=_spans).register(_class.config_class, cast("Any", _class))
