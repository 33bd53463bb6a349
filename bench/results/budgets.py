"""What a budget buys, as the description of a suite has it: prices, options, labelled rows.

The question is that of Bai, Ritter and Xu (EMNLP 2021, arXiv:2109.04711): of a budget B, an option
that computes C first leaves n = ⌊(B − C) / p⌋ rows at a price of p a label.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from bench.schema import Count, Figure, Name, Positive

Option = Literal["labels", "pre-training", "distillation", "both"]
"""What computing is bought before labels: none, continued pre-training of the encoder, general
distillation of a small model, or both."""

OPTIONS: tuple[Option, ...] = ("labels", "pre-training", "distillation", "both")

EXA = 1e18
"""FLOPs of an EFLOP."""


class Purchase(Struct, kw_only=True, frozen=True):
    """What an option buys of a budget, for a method at a ratio.

    Attributes:
        budget: The money.
        option: What computing it pays for.
        method: The method, with its own pins.
        ratio: Wanted compression; 1 for the dense model.
        flops: What computing costs first, foretold.
        rows: Labelled rows that the rest buys, tune rows among them; `None` where there are none.
        row: The method as the suite's cells name it, pinned to those rows and that computing.
    """

    budget: Positive
    option: Option
    method: str
    ratio: Positive
    flops: Figure
    rows: Count | None
    row: str | None


class Budget(Struct, kw_only=True, frozen=True):
    """What a suite was asked to buy.

    Attributes:
        task: The task that labels are bought of.
        currency: Of all prices.
        label_price: Of one labelled row.
        eflop_price: Of 10^18 FLOPs.
        compute_price: That price as it was said, such as `2/hour`.
        flops_per_second: The rate that turns hours into FLOPs, where the price is one of an hour.
        available: Training rows that the task has: more cannot be bought.
        pretrain_steps: Steps of continued pre-training.
        purchases: What each option buys of each budget.
    """

    task: Name
    currency: str
    label_price: Positive
    eflop_price: Positive
    compute_price: str
    flops_per_second: Positive | None
    available: Count
    pretrain_steps: Count
    purchases: list[Purchase]

    @property
    def cells(self) -> set[tuple[str, float]]:
        """Method and ratio of the cells that have to be run, dense models beside."""
        return {(one.row, one.ratio) for one in self.purchases if one.row is not None}

    def price(self, flops: float) -> float:
        """What so many FLOPs cost."""
        return flops / EXA * self.eflop_price
