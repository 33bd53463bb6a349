"""The input of a training perturbed: words dropped, replaced, or moved against the loss.

Hooks on the word embeddings do it, while the loss runs the model in training mode and at no other
time. So positions, segments and the attention mask stay as they are, and whoever else reads the
batch, such as a teacher, sees the clean rows. Special pieces stay, padding among them.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bench.models.checkpoint import load_tokenizer, read_config
from bench.models.masked_lm import ordinary_pieces
from bench.training.perturbation import Perturbation

if TYPE_CHECKING:
    from bench.compression.callbacks import Training
    from bench.protocol import Protocol

LEAST_NORM = 1e-30
"""Of a gradient that is divided by it: where there is none, nothing moves."""


class Perturber:
    """Perturbs the passes of one training; all draws are those of torch's generator.

    Args:
        perturbation: What is asked for.
        ordinary: Numbers of all pieces but special ones, which may be touched and drawn.
    """

    def __init__(self, perturbation: Perturbation, ordinary: Tensor) -> None:
        self._asked = perturbation
        self._ordinary = ordinary
        self._is_ordinary = torch.zeros(0, dtype=torch.bool)
        self._given: list[tuple[Tensor, Tensor]] = []
        self._moves: Iterator[Tensor] | None = None

    def step(self, training: Training, run_pass: Callable[[], Tensor]) -> Tensor:
        """Makes the passes of a step.

        Adversarial training is that of Sato et al. (2019) in a formulation of ours: of an example
        whose word embeddings are e, L(e) + L(e + r) with r = ε · g / ‖g‖₂ and g = ∇ₑL(e), the norm
        taken over all pieces of the example. Both passes draw the same words and dropout.

        Args:
            training: The training.
            run_pass: One forward and backward pass over the batch at hand.

        Returns:
            The loss of the first pass, which is the only one but for adversarial training.
        """
        self._training, training.passes = training, self._asked.passes
        model = training.model
        with self._hooked(model.get_input_embeddings()):
            if training.passes == 1:
                return run_pass()
            devices = [model.device] if model.device.type == "cuda" else []
            with torch.random.fork_rng(devices):
                value = run_pass()
            self._moves = iter([self._move(given, may) for given, may in self._given])
            run_pass()
        return value

    @contextlib.contextmanager
    def _hooked(self, embeddings: nn.Module) -> Iterator[None]:
        """Inside the block, what word embeddings are asked for, and what they give, is changed."""
        table: Tensor = embeddings.weight  # type: ignore[assignment]
        if len(self._is_ordinary) != len(table):
            self._ordinary = self._ordinary.to(table.device)
            self._is_ordinary = torch.zeros(len(table), dtype=torch.bool, device=table.device)
            self._is_ordinary[self._ordinary] = True
        try:
            with (
                embeddings.register_forward_pre_hook(self._replace),
                embeddings.register_forward_hook(self._change),
            ):
                yield
        finally:
            self._given, self._moves = [], None

    @torch.no_grad()
    def _replace(self, embeddings: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Replaces pieces before they are looked up."""
        asked, step = self._asked, self._training.step
        uniform = asked.replaced(asked.replace_uniform, step)
        similar = asked.replaced(asked.replace_similar, step)
        if not embeddings.training or not uniform + similar:
            return args
        pieces, *rest = args
        chance = torch.rand(pieces.shape, device=pieces.device)
        chance[~self._is_ordinary[pieces]] = 1.0
        drawn, alike = chance < uniform, (uniform <= chance) & (chance < uniform + similar)
        found = pieces.clone()
        numbers = torch.randint(len(self._ordinary), pieces[drawn].shape, device=pieces.device)
        found[drawn] = self._ordinary[numbers]
        if asked.replace_similar:
            found[alike] = self._similar(embeddings.weight, pieces[alike])  # type: ignore[arg-type]
        return (found, *rest)

    def _similar(self, table: Tensor, pieces: Tensor) -> Tensor:
        """Draws ordinary pieces w for pieces x with P(w) ∝ exp(e_w · e_x), by Gumbel's maximum.

        Args:
            table: Word embeddings, `[vocabulary, width]`.
            pieces: Their numbers, `[pieces]`.
        """
        logits = (table[pieces] @ table.T).float()
        self._training.drawn_flops += 2 * logits.numel() * table.shape[1]
        logits[:, ~self._is_ordinary] = -torch.inf
        # −log of an exponential draw is a draw from Gumbel's distribution
        return logits.sub_(torch.empty_like(logits).exponential_().log_()).argmax(dim=1)

    def _change(self, embeddings: nn.Module, args: tuple[Tensor, ...], given: Tensor) -> Tensor:
        """Drops words, and in a second pass moves what is left of them."""
        if not embeddings.training:
            return given
        may = self._is_ordinary[args[0]]
        if rate := self._asked.word_dropout:
            dropped = may & (torch.rand(may.shape, device=may.device) < rate)
            given = given.masked_fill(dropped[..., None], 0.0)
        if not self._asked.adversarial:
            return given
        if self._moves is not None:
            return given + next(self._moves)
        if not given.requires_grad:  # where a method trains no embeddings
            given = given.detach().requires_grad_()
        given.retain_grad()
        self._given.append((given, may))
        return given

    def _move(self, given: Tensor, may: Tensor) -> Tensor:
        """ε · g / ‖g‖₂ of every example, `[rows, pieces, width]`; special pieces have no part."""
        if given.grad is None:
            return torch.zeros_like(given)
        gradient = given.grad * may[..., None]
        norm = gradient.flatten(1).norm(dim=1).clamp(min=LEAST_NORM)
        moved: Tensor = self._asked.adversarial * gradient / norm[:, None, None]
        return moved


def perturber_of(protocol: Protocol, encoder: Path) -> Perturber | None:
    """What perturbs a training under a protocol; `None` where nothing does.

    Args:
        protocol: The protocol.
        encoder: Folder of the encoder, whose tokenizer knows special pieces.

    Raises:
        BenchError: The tokenizer cannot be read.
    """
    asked = Perturbation.parse(protocol.perturb)
    return None if asked is None else Perturber(asked, _ordinary_pieces(encoder))


@functools.lru_cache(maxsize=4)
def _ordinary_pieces(encoder: Path) -> Tensor:
    known = read_config(encoder).vocab_size
    return torch.from_numpy(ordinary_pieces(load_tokenizer(encoder), known))
