"""Eight bits a weight: what an engineer tries first, and no weight has to go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bench
from bench import Method, MethodInfo, Run

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LEVELS = 127
"""The largest value: -127 to 127, so that a weight and its negative are rounded alike."""


class Int8(Method):
    """Round every matrix of the dense model to int8, one scale a row; answers stay in fp32.

    Rows of a linear layer are its outputs, those of an embedding its pieces. The delivered model
    holds value × scale in fp32: what int8 weights with fp32 activations compute, and what any
    `transformers` loads. Nothing is trained after the rounding.
    """

    info = MethodInfo(
        name="int8",
        summary="round all matrices of the dense model to int8, a scale a row (weight-only)",
        kind="reference",
        removes="no weights, three of their four bytes",
        starts_from="finetuned",
        control=True,
    )
    Params = bench.Params

    def compress(self, run: Run, params: bench.Params) -> PreTrainedModel:
        """Returns the reference, rounded."""
        import torch
        from torch import nn

        model = run.finetuned()
        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, nn.Linear | nn.Embedding):
                    weight = module.weight
                    largest = weight.abs().amax(dim=1)
                    scale = torch.where(largest > 0, largest, 1.0) / LEVELS
                    zeros = torch.zeros_like(scale, dtype=torch.int32)
                    weight.copy_(
                        torch.fake_quantize_per_channel_affine(
                            weight, scale, zeros, 0, -LEVELS, LEVELS
                        )
                    )
        return model
