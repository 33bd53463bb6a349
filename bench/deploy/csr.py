"""Classifiers whose six matrices a layer are torch CSR tensors: sparse products without extras."""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from bench.models.families import prunable

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def csr_model(model: PreTrainedModel) -> PreTrainedModel:
    """A copy whose six matrices a layer are torch CSR tensors, multiplied by MKL.

    Args:
        model: A classifier, stock or cut.
    """
    replaced: dict[int, Any] = {
        id(linear): _CsrLinear(linear) for linear in prunable(model).values()
    }
    # What the memo knows is not copied.
    copied: PreTrainedModel = copy.deepcopy(model, replaced).eval()
    return copied


class _CsrLinear(nn.Module):
    """A linear layer whose weight is stored as CSR."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.out_features = linear.out_features
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
            self._weight = linear.weight.detach().to_sparse_csr()
        none = linear.weight.new_zeros(linear.out_features)  # such as a mask's one row
        self._bias = none if linear.bias is None else linear.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        """`[..., in features]` to `[..., out features]`."""
        if not self._weight.values().numel():  # some versions of MKL refuse what has no elements
            return self._bias.expand(*x.shape[:-1], -1)
        tokens = x.reshape(-1, x.shape[-1]).T.contiguous()
        product = torch.addmm(self._bias[:, None], self._weight, tokens)
        return product.T.reshape(*x.shape[:-1], self.out_features)
