"""What a budget buys: how many labelled rows each option leaves money for.

The question and the rule n = ⌊(B − C) / p⌋ are those of Bai, Ritter and Xu (EMNLP 2021,
arXiv:2109.04711). What comes out is an ordinary request whose methods are pinned to rows and
computing, so that it is run, resumed and recorded as any other.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench import registry
from bench.compression.params import spelled
from bench.compression.target import Target, default_depth, small_config
from bench.errors import BenchError, UnreachableError
from bench.models.checkpoint import read_config
from bench.models.heads import describe_head
from bench.protocol import Protocol
from bench.results.budgets import EXA, OPTIONS, Budget, Purchase
from bench.runs.cells.cell import Variant
from bench.runs.cost import GENERAL
from bench.runs.encoder import default_learning_rate
from bench.runs.request import compare

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from bench.compression.method import Method
    from bench.data.task import Task
    from bench.results.budgets import Option
    from bench.runs.request import Compared, Request

MOST_BUDGETS = 50


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a customer asks.

    Attributes:
        budgets: How much money there may be.
        label_price: Price of one labelled row.
        compute_price: `P/EFLOP`, or `P/hour` at `flops_per_second`.
        pretrain_steps: Steps of continued pre-training.
        flops_per_second: What is computed in a second, where hours are paid for.
        currency: Of all of it.

    Raises:
        BenchError: A price is none, or a budget does not pay for one label.
    """

    budgets: tuple[float, ...]
    label_price: float
    compute_price: str
    pretrain_steps: int
    flops_per_second: float | None = None
    currency: str = "EUR"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\S{1,8}", self.currency):
            raise BenchError("--currency is a short word such as EUR.")
        _positive("--label-price", self.label_price)
        if not self.budgets or len(self.budgets) > MOST_BUDGETS:
            raise BenchError(f"--budgets names 1 to {MOST_BUDGETS} amounts.")
        for budget in self.budgets:
            _positive("--budgets", budget)
            if budget < self.label_price:
                raise BenchError(
                    f"a budget of {budget:g} {self.currency} does not pay for one label at "
                    f"{self.label_price:g}."
                )
        if self.pretrain_steps < 1:
            raise BenchError("--pretrain-steps is at least 1: it is what labels are held against.")
        _ = self.eflop_price

    @property
    def eflop_price(self) -> float:
        """The price of 10^18 FLOPs.

        Raises:
            BenchError: It is not said how many FLOPs an hour has, or what is said is no price.
        """
        said, _, unit = self.compute_price.partition("/")
        try:
            price = float(said)
        except ValueError:
            price = math.nan
        if unit not in ("EFLOP", "hour") or math.isnan(price):
            raise BenchError(
                f"--compute-price '{self.compute_price}' is not of the form 0.5/EFLOP or 2/hour."
            )
        _positive("--compute-price", price)
        if unit == "EFLOP":
            if self.flops_per_second is not None:
                raise BenchError("--flops-per-second is for a price of an hour: leave it.")
            return price
        if self.flops_per_second is None:
            raise BenchError("a price of an hour needs --flops-per-second: what an hour computes.")
        _positive("--flops-per-second", self.flops_per_second)
        return price * EXA / (3600 * self.flops_per_second)


def _positive(option: str, value: float) -> None:
    if not 0 < value < 1e100:
        raise BenchError(f"{option} {value:g} is not above 0: what costs nothing needs no budget.")


def planned(question: Question, request: Request, cache: Path) -> Request:
    """The request that answers a question.

    Args:
        question: Budgets and prices.
        request: The task, the methods, the text, the ratios and everything else of a run.
        cache: Folder for tokenised rows.

    Raises:
        BenchError: A name or value is not valid, there is no text, or the encoder has no
            masked-language-model head.
    """
    from bench.data.corpus import find_text, load_corpus, prepare_corpus
    from bench.data.prepare import rows_to_learn_from
    from bench.training.pretraining import check_pretraining, pretraining_flops

    if request.corpus is None:
        raise BenchError("labels are held against computing on unlabelled text: name a --corpus.")
    compared, _ = compare(request)
    if len(compared.tasks) != 1:
        raise BenchError("a budget buys labels of one task: name one with --task.")
    variants = [v for v, is_reference in compared.variants.items() if not is_reference]
    if not variants:
        raise BenchError("--methods names none that compresses.")
    if pinned := {"max_train_samples", "pretrain_steps"} & {n for v in variants for n in v.options}:
        raise BenchError(f"the budget says {min(pinned)}: leave it.")
    text = find_text(request.corpus, request.offline, compared.source.limits)
    check_pretraining(compared.encoder, text)
    corpus = prepare_corpus(text, compared.encoder, cache, compared.length)
    task = next(iter(compared.tasks.values()))
    available = rows_to_learn_from(task, compared.source, cache=cache, overlap=request.overlap)
    available = min(available, request.max_train_samples or available)
    protocol = Protocol(
        epochs=1, trials=0, precision="fp32", pretrain_steps=question.pretrain_steps,
        learning_rate=default_learning_rate(compared.encoder), sequence_length=compared.length,
    )  # fmt: skip
    pretraining = pretraining_flops(corpus, compared.encoder, protocol)
    lengths = load_corpus(corpus.path).lengths
    shop = _Shop(question, available, pretraining)
    purchases: list[Purchase] = []
    for ratio, variant in itertools.product(compared.ratios, variants):
        purchases += shop.purchases(variant, ratio, compared, request, task, lengths)
    bought = Budget(
        task=task.name,
        currency=question.currency,
        label_price=question.label_price,
        eflop_price=question.eflop_price,
        compute_price=question.compute_price,
        flops_per_second=question.flops_per_second,
        available=available,
        pretrain_steps=question.pretrain_steps,
        purchases=[*_dense(purchases), *purchases],
    )
    methods = dict.fromkeys(one.row for one in purchases if one.row is not None)
    return dataclasses.replace(
        request,
        methods=list(methods),
        budget=bought,
        name=request.name or f"budget-{task.name}",
        max_train_samples=None,
        pretrain_steps=None,
    )


@dataclass(frozen=True)
class _Shop:
    """What is sold, and at which price."""

    question: Question
    available: int
    pretraining: int

    def purchases(
        self,
        variant: Variant,
        ratio: float,
        compared: Compared,
        request: Request,
        task: Task,
        lengths: NDArray[np.int64],
    ) -> list[Purchase]:
        """What each option buys of each budget for a method at a ratio."""
        method = registry.methods.get(variant.method)
        target = Target(request.axis, ratio, compared.length)
        config = read_config(compared.encoder)
        describe_head(config, task.info.labels, spans=task.finds_spans)
        try:
            general = general_flops(method, variant.params, config, target, lengths)
        except UnreachableError:  # its cells will say so
            general = 0
        found = []
        for option, budget in itertools.product(
            options_of(method, variant.params), sorted(set(self.question.budgets))
        ):
            steps = self.question.pretrain_steps if option in ("pre-training", "both") else 0
            distils = option in ("distillation", "both")
            flops = bool(steps) * self.pretraining + distils * general
            rows = self.rows(budget, flops)
            found.append(
                Purchase(
                    budget=budget,
                    option=option,
                    method=str(variant),
                    ratio=ratio,
                    flops=float(flops),
                    rows=rows,
                    row=None if rows is None else _row(method, variant, rows, steps, distils),
                )
            )
        return found

    def rows(self, budget: float, flops: float) -> int | None:
        """The rows that a budget leaves after so much computing; `None` where there is not one."""
        left = budget - flops / EXA * self.question.eflop_price
        rows = math.floor(left / self.question.label_price + 1e-9)
        return min(rows, self.available) if rows >= 1 else None


def options_of(method: type[Method], pins: dict[str, str]) -> list[Option]:
    """The options that a method can take: distillation only if it has one, and may leave it."""
    knob = method.Params.knobs().get(GENERAL)
    if knob is None:
        return ["labels", "pre-training"]
    if knob.low or not int(pins.get(GENERAL, method.Params.defaults()[GENERAL])):
        return ["distillation", "both"] if knob.low else ["labels", "pre-training"]
    return [*OPTIONS]


def general_flops(
    method: type[Method],
    pins: dict[str, str],
    config: Any,
    target: Target,
    lengths: NDArray[np.int64],
) -> int:
    """FLOPs of a method's general distillation: a pass of the teacher and three of the student.

    The student of a small method has the default depth unless one is pinned. Any other method goes
    on with the encoder's own shape as a language model, whose head is seen on hidden pieces alone.

    Args:
        method: The method.
        pins: Its pinned parameters.
        config: The encoder's configuration, with the task's head.
        target: What it is to be compressed to.
        lengths: Pieces of the rows of the text.

    Raises:
        UnreachableError: The target is out of reach.
    """
    from bench.models.footprint import TRAINED_PASS, count_dense
    from bench.models.masked_lm import SHARE

    said = {**method.Params.defaults(), **pins}
    if not (epochs := int(said.get(GENERAL, 0))):
        return 0
    teacher = count_dense(config).forward_flops(lengths)
    if method.info.kind == "small":
        depth = int(said.get("depth", 0)) or default_depth(config)
        mask = said.get("mask", "learnt") if method.info.mask_attention else None
        small = small_config(target, config, depth, mask=mask)
        student = count_dense(small).forward_flops(lengths)
    else:
        width = int(config.hidden_size)
        matrix = (int(config.vocab_size) + width) * width
        student = teacher = teacher + 2 * round(SHARE * int(lengths.sum())) * matrix
    return epochs * (teacher + TRAINED_PASS * student)


def _row(method: type[Method], variant: Variant, rows: int, steps: int, distils: bool) -> str:
    """A method as the suite's cells name it."""
    pins = {**dict(variant.pins), "max_train_samples": str(rows)}
    if steps:
        pins["pretrain_steps"] = str(steps)
    if GENERAL in method.Params.knobs():
        epochs = pins.get(GENERAL, spelled(method.Params.defaults()[GENERAL]))
        pins[GENERAL] = epochs if distils else "0"
    return str(Variant(variant.method, tuple(sorted(pins.items()))))


def _dense(purchases: list[Purchase]) -> list[Purchase]:
    """What the dense models that come along show: options without a small model's distillation."""
    from bench.results.record import dense_of

    found = {}
    for one in purchases:
        if one.option in ("labels", "pre-training"):
            row = None if one.row is None else dense_of(one.row)
            method = dense_of(one.method)
            dense = Purchase(
                budget=one.budget, option=one.option, method=method, ratio=1.0, flops=one.flops,
                rows=one.rows, row=row,
            )  # fmt: skip
            found[method, one.budget, one.option] = dense
    return list(found.values())
