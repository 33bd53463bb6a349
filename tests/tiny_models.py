"""Tiny random models of the four families, for tests that look at shapes."""

from __future__ import annotations

import copy

import torch
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    PretrainedConfig,
    PreTrainedModel,
    RobertaConfig,
)

from bench.deploy.export import inputs_of
from bench.models.families import Mask, layers, prunable
from bench.models.mask_attention import insert_mask_attention

COMMON = {"vocab_size": 50, "max_position_embeddings": 40, "num_labels": 3}
SHAPE = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
}
CONFIGS = {
    "bert": lambda: BertConfig(**COMMON, **SHAPE),
    "roberta": lambda: RobertaConfig(**COMMON, **SHAPE),
    "electra": lambda: ElectraConfig(**COMMON, **SHAPE, embedding_size=16),
    "distilbert": lambda: DistilBertConfig(**COMMON, dim=24, n_layers=2, n_heads=3, hidden_dim=40),
}


def tiny_config(family: str) -> PretrainedConfig:
    """A fresh configuration: 2 layers × 24 × 40, 3 heads, 3 labels."""
    return CONFIGS[family]()


def tiny_classifier(family: str) -> PreTrainedModel:
    """A classifier in eval mode whose weights and biases are all other than zero."""
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(
        tiny_config(family), attn_implementation="eager"
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(0.01, 0.1)
    return model


def sparse_classifier(family: str, density: float = 0.3) -> PreTrainedModel:
    """A classifier with weights of either sign, of which some are zero."""
    model = tiny_classifier(family)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3 + 0.01)
        for matrix in prunable(model).values():
            matrix.weight.mul_(torch.rand_like(matrix.weight) < density)
    return model


def masked_classifier(family: str, mask: Mask = "learnt") -> PreTrainedModel:
    """A classifier with mask attention and weights of either sign, none of them zero."""
    model = insert_mask_attention(sparse_classifier(family, density=1), mask)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3 + 0.01)
    return model


def pieces() -> torch.Tensor:
    """Three rows of nine pieces for any of them."""
    return torch.randint(5, 50, (3, 9), generator=torch.Generator().manual_seed(1))


def logits(model: PreTrainedModel, rows: int = 3, pieces: int = 9) -> torch.Tensor:
    """Logits of random rows, the last of them half padding."""
    inputs = inputs_of(model, rows, pieces)
    inputs["attention_mask"][-1, pieces // 2 :] = 0
    with torch.no_grad():
        return model(**inputs).logits


HEADS = ([0, 2], [])
WIDTH = [0, 1, 4, 5, 6, 11, 12, 13, 19, 22, 23]
NEURONS = (list(range(0, 40, 3)), [5])


def masked(model):
    """The same model with the weights and biases of what is cut at zero."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for layer, heads, neurons in zip(layers(other), HEADS, NEURONS, strict=True):
            units = torch.arange(layer.query.out_features) // layer.head_size
            gone = ~torch.isin(units, torch.tensor(heads, dtype=torch.long))
            for matrix in (layer.query, layer.key, layer.value):
                matrix.weight[gone], matrix.bias[gone] = 0, 0
            layer.attention_output.weight[:, gone] = 0
            gone = ~torch.isin(torch.arange(40), torch.tensor(neurons))
            layer.intermediate.weight[gone], layer.intermediate.bias[gone] = 0, 0
            layer.output.weight[:, gone] = 0
    return other
