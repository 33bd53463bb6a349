"""A small model of a stock shape, projected out of a large one.

Its weights are the best that the larger ones can be projected to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from bench.models.families import (
    Layer,
    embedding_projection,
    embeddings,
    family_of,
    layer_modules,
    layers,
    reshaped,
)

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

    from bench.models.families import Shape


def small_model(model: PreTrainedModel, shape: Shape) -> PreTrainedModel:
    """A new classifier of the same family in another shape, drawn from torch's generator."""
    config: PretrainedConfig = reshaped(model.config, shape)
    smaller: PreTrainedModel = type(model)(config)
    smaller.eval()
    return smaller


def layer_map(small: int, large: int) -> list[int]:
    """The layer of the larger model that each layer of the smaller one corresponds to.

    Uniform, g(m) = ⌊m·N/M + ½⌋ for m = 0 … M (Jiao et al. 2020, arXiv:1909.10351, for whole N/M);
    0 stands for the embeddings.

    Args:
        small: Number of layers M.
        large: Number of layers N.
    """
    return [(2 * layer * large + small) // (2 * small) for layer in range(small + 1)]


@torch.no_grad()
def shrink(model: PreTrainedModel, shape: Shape) -> tuple[PreTrainedModel, Tensor]:
    """A smaller classifier cut out of a larger one.

    The hidden space is that of the word embeddings' main components, P. Layers are taken evenly
    (`layer_map`); of each, the neurons with the largest weights, and within each head the
    directions that matter most to its scores q·k and to its output (truncated singular value
    decompositions).
    At the larger model's own shape the result is the larger model, up to a rotation of its heads.

    Args:
        model: A classifier.
        shape: The shape wanted: as many heads, nothing larger than the model's own.

    Returns:
        The smaller classifier, whose head is drawn from torch's generator, and P, `[width of the
        model, width]`, which takes the smaller one's hidden states to those of `model`.
    """
    small = small_model(model, shape)
    basis, scale = _main_components(model, shape.width)
    family = family_of(model)
    _project_embeddings(model, small, basis, scale)
    places = layer_map(shape.layers, len(layers(model)))[1:]
    for number, place in enumerate(places):
        _shrink_layer(layers(model)[place - 1], layers(small)[number], basis)
        theirs = dict(layer_modules(model)[place - 1].named_modules())
        for name, module in layer_modules(small)[number].named_modules():
            if isinstance(module, nn.LayerNorm):
                _project_norm(theirs[name], module, basis, scale)
    if family.pooler and hasattr(small.base_model, "pooler") and small.base_model.pooler:
        _project_linear(
            model.base_model.get_submodule(family.pooler),
            small.base_model.get_submodule(family.pooler),
            basis,
        )
    return small, basis


def _main_components(model: PreTrainedModel, width: int) -> tuple[Tensor, float]:
    """The main components of the word embeddings, `[model's width, width]`, and a scale.

    The scale makes up for normalising fewer dimensions than hold the variance: it is what a
    projected state's size is, seen from one normalised to `width` dimensions.
    """
    words: Any = model.get_input_embeddings().weight
    projection = embedding_projection(model)
    if projection is not None:
        words = words @ projection.weight.T
    full = words.shape[1]
    if width == full:
        return torch.eye(full), 1.0
    centred = words.double() - words.double().mean(dim=0)
    values, vectors = torch.linalg.eigh(centred.T @ centred)
    kept = float(values[-width:].sum() / values.sum())
    # The sign of an eigenvector is arbitrary: fixed, so that every machine cuts the same model.
    vectors = vectors[:, -width:].flip(dims=(1,))
    signs = vectors.gather(0, vectors.abs().argmax(dim=0, keepdim=True)).sign()
    return (vectors * signs).float(), (kept * full / width) ** 0.5


def _project_embeddings(
    model: PreTrainedModel, small: PreTrainedModel, basis: Tensor, scale: float
) -> None:
    """Takes the embeddings over; ELECTRA's keep their width, and their projection is projected."""
    theirs = dict(embeddings(model).named_modules())
    widening, large = embedding_projection(small), embedding_projection(model)
    if widening is None and large is not None:
        _fold_projection(model, small, large, basis)
        return
    for name, module in embeddings(small).named_modules():
        same = widening is not None
        if isinstance(module, nn.Embedding):
            module.weight.copy_(theirs[name].weight if same else theirs[name].weight @ basis)
        elif isinstance(module, nn.LayerNorm):
            if same:
                module.load_state_dict(theirs[name].state_dict())
            else:
                _project_norm(theirs[name], module, basis, scale)
    if widening is not None:
        widening.weight.copy_(basis.T if large is None else basis.T @ large.weight)
        widening.bias.copy_(torch.zeros(()) if large is None else basis.T @ large.bias)


def _fold_projection(
    model: PreTrainedModel, small: PreTrainedModel, large: nn.Linear, basis: Tensor
) -> None:
    """ELECTRA's embeddings where the smaller width is their own, so that nothing widens them.

    Scales and the projection go into the tables; scales and shifts of the smaller model are the
    least-squares fit to what the larger one makes of all words.
    """
    narrow = basis.T @ large.weight
    theirs: dict[str, Any] = dict(embeddings(model).named_modules())
    ours: dict[str, Any] = dict(embeddings(small).named_modules())
    (norm,) = (name for name, module in ours.items() if isinstance(module, nn.LayerNorm))
    for name, module in ours.items():
        if isinstance(module, nn.Embedding):
            table = theirs[name].weight
            centred = table - table.mean(dim=1, keepdim=True)
            module.weight.copy_(centred * theirs[norm].weight @ narrow.T)
    words: Any = model.get_input_embeddings().weight
    projected: Any = small.get_input_embeddings().weight
    wanted = theirs[norm](words) @ narrow.T + basis.T @ large.bias
    found = nn.functional.layer_norm(projected, [len(narrow)], eps=ours[norm].eps)
    centred = found - found.mean(dim=0)
    scale = (centred * wanted).sum(dim=0) / centred.square().sum(dim=0)
    ours[norm].weight.copy_(scale)
    ours[norm].bias.copy_(wanted.mean(dim=0) - scale * found.mean(dim=0))


def _project_norm(large: Any, small: nn.LayerNorm, basis: Tensor, scale: float) -> None:
    """The scales and shifts that come nearest in the smaller space."""
    small.weight.copy_(scale * torch.einsum("dw,d,dw->w", basis, large.weight, basis))
    small.bias.copy_(basis.T @ large.bias)


def _project_linear(large: Any, small: Any, basis: Tensor) -> None:
    """A linear layer from hidden state to hidden state."""
    small.weight.copy_(basis.T @ large.weight @ basis)
    small.bias.copy_(basis.T @ large.bias)


def _shrink_layer(large: Layer, small: Layer, basis: Tensor) -> None:
    """The six matrices of a layer in the smaller space, with smaller heads and fewer neurons."""
    size, less = large.head_size, small.head_size
    for head in range(large.query.out_features // size):
        old, new = slice(head * size, (head + 1) * size), slice(head * less, (head + 1) * less)
        queries, keys, values = (
            _with_bias(matrix.weight[old] @ basis, matrix.bias[old])
            for matrix in (large.query, large.key, large.value)
        )
        # Scores are divided by the root of the head's size, which is smaller now.
        left, right = _low_rank(queries.T * (less / size) ** 0.5, keys, less)
        for matrix, part in ((small.query, left.T), (small.key, right)):
            matrix.weight[new], matrix.bias[new] = part[:, :-1], part[:, -1]
        outputs = basis.T @ large.attention_output.weight[:, old]
        left, right = _low_rank(outputs, values, less)
        small.attention_output.weight[:, new] = left
        small.value.weight[new], small.value.bias[new] = right[:, :-1], right[:, -1]
    small.attention_output.bias.copy_(basis.T @ large.attention_output.bias)

    inputs, outputs = large.intermediate.weight @ basis, basis.T @ large.output.weight
    importance = inputs.norm(dim=1) * outputs.norm(dim=0)
    kept = importance.topk(small.intermediate.out_features).indices.sort().values
    small.intermediate.weight.copy_(inputs[kept])
    small.intermediate.bias.copy_(large.intermediate.bias[kept])
    small.output.weight.copy_(outputs[:, kept])
    small.output.bias.copy_(basis.T @ large.output.bias)


def _with_bias(weight: Tensor, bias: Tensor) -> Tensor:
    return torch.cat([weight, bias[:, None]], dim=1)


def _low_rank(left: Tensor, right: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Two factors of a smaller inner size whose product is nearest to that of the given two."""
    u, s, v = torch.linalg.svd((left.double() @ right.double()), full_matrices=False)
    root = s[:rank].sqrt()
    return (u[:, :rank] * root).float(), (root[:, None] * v[:rank]).float()
