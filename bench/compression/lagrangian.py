"""Gates on an encoder's structure that are learnt under a Lagrangian (CoFi, arXiv:2204.00408)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bench.compression.callbacks import Callback
from bench.compression.gates import Gated, Gates
from bench.compression.hard_concrete import drawn, open_probability, settled
from bench.compression.structure import Structure, most_valuable
from bench.models.families import shape_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bench.compression.callbacks import Training
    from bench.compression.target import Target

BOUND = 4.6
"""Largest |log α|, log 100 as by the authors: further out, a gate would hardly move."""

START = 2.0
"""log α of every gate before the first step: 97 % are open, and 60 % wide open. The authors start
at 10, and at 0 for neurons. At 10 a gate is so rarely between 0 and 1 that in a few hundred steps
the loss would have no say in which close."""

TIE = 1e-6
"""How much of its own value a unit keeps where that of its part is lower."""


class GatePruner(Callback):
    """Learns which heads, neurons, layers and hidden dimensions to keep, under a Lagrangian.

    Each has a hard-concrete gate, and so has each layer's attention and feed-forward part as a
    whole. With ŝ the share of the cost that is expected to be gone, and t the one that is wanted,
    which rises linearly over the first steps, `penalty` is

        λ₁(ŝ − t) + λ₂(ŝ − t)².

    The gates go down it with the loss, and the multipliers λ go up. All are parameters of the
    optimizer and follow the weights' schedule. Their gradients are clipped together with those of
    the weights, of which AdamW's steps feel no more than that one batch counts less than another.

    Args:
        model: The model that is trained.
        target: The compression wanted.
        travel: How far a log α, and a multiplier, could go at the peak rate all along, which sets
            that rate by the number of steps.
        ramp: Share of the steps over which the wanted share rises.
    """

    def __init__(
        self, model: PreTrainedModel, target: Target, *, travel: float = 30.0, ramp: float = 0.5
    ) -> None:
        shape = shape_of(model.config)
        self.model = model
        self.target = target
        self.travel = travel
        self.ramp = ramp
        self.log_alpha = Gates(
            torch.zeros(shape.layers),
            torch.zeros(shape.layers, shape.heads),
            torch.zeros(shape.layers),
            torch.zeros(shape.layers, shape.neurons),
            torch.zeros(shape.width),
        ).map(lambda part: part + START)
        self.multipliers = torch.zeros(2)
        self._costs, _, self._whole = target.structure_budget(model.config)

    def start(self, training: Training) -> None:
        """Hands gates and multipliers to the optimizer, and puts the gates into the model."""
        device, rate = training.model.device, self.travel / training.total_steps
        self._training = training
        self.log_alpha = self.log_alpha.map(lambda part: part.to(device).requires_grad_())
        self.multipliers = self.multipliers.to(device).requires_grad_()
        self._gated = Gated(self.model, self._settled())
        add = training.optimizer.add_param_group
        add({"params": list(self.log_alpha.parts), "lr": rate, "weight_decay": 0.0})
        add({"params": [self.multipliers], "lr": rate, "weight_decay": 0.0, "maximize": True})

    def draw(self) -> Tensor:
        """Draws the gates of the next pass; returns which layers are left in it, `[layers]`."""
        self._gated.use(self.log_alpha.map(drawn))
        return self._gated.structure.layers

    @torch.no_grad()
    def after_step(self, training: Training) -> None:
        """Keeps the gates in bounds; whoever runs the model before the next draw sees no noise."""
        for part in self.log_alpha.parts:
            part.clamp_(-BOUND, BOUND)
        self._gated.use(self._settled())

    def expected_gone(self) -> Tensor:
        """The share of the cost on the target's axis that is expected to be gone.

        It is exact: the gates are independent, and the cost is a sum of products of different ones.
        """
        p = self.log_alpha.map(lambda part: open_probability(part.double()))
        no_head = 1 - p.attention * (1 - (1 - p.heads).prod(dim=1))
        no_neuron = 1 - p.feed_forward * (1 - (1 - p.neurons).prod(dim=1))
        cost: Tensor = self._costs.total(
            width=p.dimensions.sum(),
            layers=(1 - no_head * no_neuron).sum(),
            heads=(p.attention[:, None] * p.heads).sum(),
            neurons=(p.feed_forward[:, None] * p.neurons).sum(),
        )
        return 1 - cost / self._whole

    def penalty(self) -> Tensor:
        """What is added to the loss of a step."""
        way = self._training.step / max(1.0, self.ramp * self._training.total_steps)
        gap = self.expected_gone() - min(1.0, way) * (1 - 1 / self.target.ratio)
        return (self.multipliers[0] * gap + self.multipliers[1] * gap.square()).float()

    def finish(self) -> Structure:
        """Chooses what stays, and takes the gates out of the model, multiplied into the weights.

        The units of the highest log α stay, so many that the target is met exactly. A unit whose
        part has a lower one counts as much as its part.

        Returns:
            What `Structure.cut` has to leave of the model.
        """
        values = self.log_alpha.map(torch.detach)
        structure = most_valuable(
            _with_part(values.heads, values.attention),
            _with_part(values.neurons, values.feed_forward),
            values.dimensions,
            self.target,
            self.model.config,
        )
        self._gated.use(self._settled(), structure)
        self._gated.keep()
        return structure

    @torch.no_grad()
    def _settled(self) -> Gates:
        return self.log_alpha.map(settled)


def _with_part(units: Tensor, parts: Tensor) -> Tensor:
    """Values of units, at most those of their parts; of equal ones the better unit is ahead."""
    return units.minimum(parts[:, None]) + TIE * units
