"""PLATON's scores: sensitivity times its uncertainty (Zhang et al. 2022, arXiv:2206.12562)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bench.compression.callbacks import Callback
from bench.compression.masks import CubicSchedule, Masks

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bench.compression.callbacks import Training


class Sensitivity:
    """How much the loss would change without each weight, smoothed, and how sure that is.

    I = |θ ⊙ ∂L/∂θ|, the mean over a window of steps. When a window ends,

        Ī ← β₁Ī + (1 − β₁)I  and then  Ū ← β₂Ū + (1 − β₂)|I − Ī|,

    both from zero. A weight's score is Ī ⊙ Ū: one that matters, or of which that is not yet known,
    is kept.

    Args:
        masks: The matrices whose weights are scored.
        beta1: β₁, 0–1.
        beta2: β₂, 0–1.
    """

    def __init__(self, masks: Masks, beta1: float, beta2: float) -> None:
        self.linears = masks.linears
        self.beta1, self.beta2 = beta1, beta2
        self._sum, self._mean, self._uncertainty = (self._zeros() for _ in range(3))
        self._steps = 0
        self.windows = 0
        """How many have ended."""

    @torch.no_grad()
    def observe(self) -> None:
        """Adds a step to the window, from the weights and gradients that there are now."""
        self._steps += 1
        for name, linear in self.linears.items():
            if linear.weight.grad is None:
                raise ValueError(f"the loss does not depend on {name}")
            self._sum[name] += (linear.weight * linear.weight.grad).abs_()

    @torch.no_grad()
    def end_window(self) -> None:
        """Takes the window over into the averages and begins the next one."""
        for name, total in self._sum.items():
            seen, mean = total / max(1, self._steps), self._mean[name]
            mean.lerp_(seen, 1 - self.beta1)
            self._uncertainty[name].lerp_((seen - mean).abs_(), 1 - self.beta2)
            total.zero_()
        self._steps = 0
        self.windows += 1

    def scores(self) -> dict[str, Tensor]:
        """Ī ⊙ Ū by matrix."""
        return {name: mean * self._uncertainty[name] for name, mean in self._mean.items()}

    def _zeros(self) -> dict[str, Tensor]:
        return {name: torch.zeros_like(linear.weight) for name, linear in self.linears.items()}


class SensitivityPruner(Callback):
    """Prunes by PLATON's scores along a cubic schedule, with no mask that lasts.

    While the density falls, the weights of the lowest scores are set to zero at the end of each
    window, and the optimizer may move them away from zero before the next one: what is gone may
    come back. From the end of the schedule on they are held at zero at every step; which they are
    is still chosen anew with every window.

    The gradient is the one that the optimizer applied, clipped, and the weight is that after the
    step, as in the authors' code. A window that ends at a step does not count this step: it opens
    the next one.

    Args:
        model: The model that is trained.
        density: Share of the prunable weights that is left at the end, 0–1.
        window: Optimizer steps of a window, at least 1.
        beta1: Of the smoothed sensitivity, 0–1.
        beta2: Of its uncertainty, 0–1.
        schedule: When the density falls; `events` is not looked at, the windows say when.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        density: float,
        window: int = 10,
        beta1: float = 0.85,
        beta2: float = 0.95,
        schedule: CubicSchedule | None = None,
    ) -> None:
        self.model = model
        self.density = density
        self.window = window
        self.betas = beta1, beta2
        self.schedule = schedule or CubicSchedule()
        self.masks = Masks(model)
        self.sensitivity = Sensitivity(self.masks, beta1, beta2)
        self._held = False

    def start(self, training: Training) -> None:
        """Begins with all weights, on the device that the model is trained on."""
        self.masks = Masks(self.model)
        self.sensitivity = Sensitivity(self.masks, *self.betas)
        self._held = False

    def after_step(self, training: Training) -> None:
        """Scores the weights, and zeroes those that have to go now."""
        density = self.schedule.density_after(training.step, training.total_steps, self.density)
        window_ends = training.step % self.window == 0
        held = density == self.density
        if window_ends:
            self.sensitivity.end_window()
        if window_ends or held > self._held:
            self._choose(density)
        self._held = held
        self.sensitivity.observe()
        if window_ends or held:
            self.masks.apply()

    def finish(self) -> PreTrainedModel:
        """Returns the model with its zeros baked in, at exactly the wanted density."""
        self._choose(self.density)
        self.masks.apply()
        return self.model

    def _choose(self, density: float) -> None:
        if not self.sensitivity.windows:  # the training is shorter than one
            self.sensitivity.end_window()
        if density < 1:  # else there is nothing to choose
            self.masks.choose(self.sensitivity.scores(), density, "global")
