"""One Optuna study a (method, task, axis, ratio), the same number of trials in each.

A trial is a whole training on the *fit* rows, scored on the *tune* rows, from a seed that no report
has. What it takes follows from its place, and in the second half of a study from what the first
half came to (`bench.runs.cells.design`), so that several workers make the trials that one would.
Whoever makes a trial holds a lock that dies with its process; a trial whose lock is free was
killed, is closed, and is made again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.files import inside, read_json, remove, write_json
from bench.protocol import TOLERANCE, meets
from bench.results.record import is_dense
from bench.results.store import Store
from bench.results.studies import is_study, summary_path
from bench.runs.cells.design import RATE, SAMPLER, Rates, Tried, first_half, trial_params
from bench.runs.cells.storage import (
    is_running,
    journal,
    open_storage,
    spent,
    storage_errors,
    suggest,
)
from bench.schema import Hash, is_of

if TYPE_CHECKING:
    import optuna
    from filelock import BaseFileLock

    from bench.runs.cells.context import BoundCell
    from bench.runs.cells.design import Range


@dataclass(kw_only=True)
class Outcome:
    """What came of a trial.

    Attributes:
        score: On the tune rows.
        ratio: Achieved compression, on the study's axis.
        steps: Optimizer steps.
        wall_s: Seconds that it took.
        flops: Training FLOPs by part.
        kept: Part and FLOPs of what was made once for several trials, by its key.
        reference: The reference that it was trained as or learnt from, if any.
        curve: What the training looked like, see `bench.training.curve.Curve.described`.
        against_majority: Of a dense model: the `score` of the best constant answer, and the
            two-sided `p` of the difference.
    """

    score: float
    ratio: float
    steps: int
    wall_s: float = 0.0
    flops: dict[str, int] = field(default_factory=dict)
    kept: dict[str, tuple[str, int]] = field(default_factory=dict)
    reference: str | None = None
    curve: dict[str, Any] | None = None
    against_majority: dict[str, float] | None = None
    threshold: float | None = None


@dataclass(frozen=True)
class TrialFailure:
    """That a trial came to nothing.

    Attributes:
        reason: Why.
        cost: What it cost so far, as an `Outcome` says it.
    """

    reason: str
    cost: dict[str, Any] = field(default_factory=dict)


class Study:
    """The study of a cell, which is that of every seed's cell.

    Args:
        bound: Any cell of the method, task, axis and ratio.

    Attributes:
        bound: The cell with the trials' seed.
        id: Its id; the study's name.
        space: What is searched; empty where its one trial takes the cell's own parameters.
        trials: How many trials it takes; none where there is nothing to train.
    """

    def __init__(self, bound: BoundCell) -> None:
        self.bound = bound.trial()
        self.id = self.bound.id
        self.space = self.bound.space if bound.searched else {}
        self.trials = bound.trials
        context = bound.context
        self._store = Store(context.runs)
        self._storage = context.storage if bound.searched else None
        self._first = first_half(self.trials)
        knob, rate = self.space.get(RATE), context.protocol.learning_rate
        self._rates = None if knob is None or knob.choices is not None else Rates(knob, rate)

    @property
    def folder(self) -> Path:
        """Where journal, logs and summary lie."""
        return summary_path(self._store, self.id).parent

    def summary(self) -> dict[str, Any]:
        """The trials that have ended, the best of them, and what they cost."""
        known = read_json(summary_path(self._store, self.id))
        return known if is_study(known) else {"complete": False, "trials": []}

    @contextlib.contextmanager
    def claim(self) -> Iterator[Claim | None]:
        """Yields a trial that nobody else makes, or `None` where there is none to make now.

        None of the second half is begun before all of the first half have ended. A block that ends
        without `Claim.settle` leaves the trial to be made again.
        """
        claimed = None
        with self._used():
            study = self._open()
            self._close_killed(study)
            if (index := self._next(study)) is not None:
                claimed = self._begin(study, index)
            elif len(spent(study)) >= self.trials and not self.summary()["complete"]:
                self._write(study)  # who told the storage was killed before this
        if claimed is None:
            yield None
            return
        try:
            yield claimed
        finally:
            claimed.lock.release()

    def give_up_killed(self, reason: str) -> bool:
        """Counts trials whose process has died as made: what kills a worker would do so again.

        Returns:
            Whether there was any: a process may die before it has begun one.
        """
        import optuna

        with self._used():
            study = self._open()
            killed = self._killed(study)
            for trial in killed:
                study._storage.set_trial_user_attr(trial._trial_id, "error", reason)
                study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            self._write(study)
        return bool(killed)

    def _write(self, study: optuna.Study) -> None:
        """Writes the summary, and removes references of trials that were not the best."""
        outcomes, scores = spent(study), {}
        for place, outcome in enumerate(outcomes):
            if (score := self._score(outcome)) is not None:
                scores[place] = score
            elif "error" not in outcome:
                outcome["missed"] = True
        best = max(scores, key=lambda place: (scores[place], -place)) if scores else None
        complete = len(outcomes) >= self.trials
        flops, kept = trial_cost(outcomes)
        summary = {
            "cell": dataclasses.asdict(self.bound.cell),
            "complete": complete,
            "searched": bool(self.space),
            "sampler": SAMPLER,
            "rates": self._ranges(outcomes),
            "best": best,
            "trials": outcomes,
            "train_flops": flops + sum(kept.values()),
        }
        if complete and self.space:
            summary |= self._verdict(outcomes, scores.get(best) if best is not None else None)
        write_json(summary_path(self._store, self.id), summary)
        if complete and is_dense(self.bound.cell.method) and best is not None:
            self._keep_reference(outcomes[best]["reference"], outcomes)

    def _verdict(self, outcomes: Sequence[dict[str, Any]], best: float | None) -> dict[str, Any]:
        """What a study that has ended says of itself, beside its best trial."""
        return {
            "edge": self._rates and self._rates.edge(self._tried(outcomes), self._ranges(outcomes)),
            "floor": self._floor,
            "not_tuned": best is None or best <= self._floor,
        }

    def _ranges(self, outcomes: Sequence[dict[str, Any]]) -> list[Range]:
        """The ranges of the rate: one, and where it has moved after the first half, the other."""
        if self._rates is None:
            return []
        ended = [outcome for outcome in outcomes if outcome["index"] < self._first]
        if len(ended) < self._first or self._first == self.trials:
            return [self._rates.first]
        return list(dict.fromkeys([self._rates.first, self._rates.second(self._tried(ended))]))

    @functools.cached_property
    def _floor(self) -> float:
        """What words alone score on the tune rows."""
        from bench.runs.cells.floor import tune_floor

        return tune_floor(self.bound.cell.task, self.bound.context)

    def _tried(self, outcomes: Sequence[dict[str, Any]]) -> list[Tried]:
        """Rates and scores; none of a trial that came to no more than words: it says no way."""
        tried = []
        for outcome in outcomes:
            if RATE in outcome["params"]:  # not where a kill came between asking and drawing
                score = self._score(outcome)
                works = score is not None and score > self._floor
                tried.append(Tried(outcome["params"][RATE], score if works else None))
        return tried

    def _score(self, outcome: Mapping[str, Any]) -> float | None:
        """What a trial counts by; `None` where it failed or missed the ratio."""
        met = "error" not in outcome and meets(outcome["ratio"], self.bound.cell.ratio)
        return outcome["score"] if met else None

    def _keep_reference(self, best: str, outcomes: Sequence[dict[str, Any]]) -> None:
        root = self._store.root
        for key in {str(outcome.get("reference")) for outcome in outcomes} - {best}:
            if is_of(key, Hash):  # the journal may come from anybody, and name any folder
                remove(inside(root / "references", key), root)

    def tell(self, claim: Claim, outcome: Outcome) -> None:
        """Stores what came of a trial."""
        missed = TOLERANCE * self.bound.cell.ratio - outcome.ratio
        with self._used():
            claim.trial.set_user_attr("outcome", dataclasses.asdict(outcome))
            claim.trial.set_constraint("ratio", missed)
            claim.study.tell(claim.trial, outcome.score)
            self._write(claim.study)

    def tell_failure(self, claim: Claim, reason: str, cost: Mapping[str, Any]) -> None:
        """Stores that a trial came to nothing, which counts as made, and what it cost so far."""
        import optuna

        with self._used():
            claim.trial.set_user_attr("cost", dict(cost))
            claim.trial.set_user_attr("error", reason)
            claim.study.tell(claim.trial, state=optuna.trial.TrialState.FAIL)
            self._write(claim.study)

    @contextlib.contextmanager
    def _used(self) -> Iterator[None]:
        """Holds the study's lock, and says in one line what its storage raises."""
        with self._store.lock(f"study-{self.id}"), storage_errors(self._storage):
            yield

    def _open(self) -> optuna.Study:
        """The study, begun by its first user."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        own = self._storage is None
        study = optuna.create_study(
            study_name=self.id,
            storage=journal(self.folder / "journal.log") if own else open_storage(self._storage),
            sampler=optuna.samplers.RandomSampler(seed=0),  # of which nothing is ever asked
            direction="maximize",
            load_if_exists=True,
        )
        if not own and not study.user_attrs:  # whoever looks into a database sees what it is of
            for name in ("method", "task", "axis", "ratio"):
                study.set_user_attr(name, getattr(self.bound.cell, name))
        return study

    def _next(self, study: optuna.Study) -> int | None:
        """The place of the trial that is to be made next, if one is to be made now."""
        ended = {outcome["index"] for outcome in spent(study)}
        begun = ended | {t.user_attrs.get("index") for t in study.trials if is_running(t)}
        index = next((i for i in range(self.trials) if i not in begun), None)
        waits = index is not None and index >= self._first
        return None if waits and not ended.issuperset(range(self._first)) else index

    def _begin(self, study: optuna.Study, index: int) -> Claim:
        """Begins the trial of a place, whose lock is held from now on."""
        rate = self.bound.context.protocol.learning_rate
        within = None
        if self._rates is not None:  # the second range is there once the second half begins
            within = self._rates.walked(self._ranges(spent(study)))
        params = trial_params(self.bound.method, self.space, index, rate, within)
        marks = {"index": index, "folder": self._store.identity()}
        if not any(trial.state.name == "WAITING" for trial in study.trials):
            study.enqueue_trial(params, user_attrs=marks)
        trial = study.ask()  # that one, or what a kill left between the two lines
        defaults = self.bound.method.Params.defaults()
        for name, knob in self.space.items():
            suggest(trial, name, knob, defaults[name])
        lock = self._store.lock(f"trial-{self.id}-{trial.number}")
        lock.acquire(timeout=0)
        return Claim(self, study, trial, int(trial.user_attrs["index"]), trial.params, lock)

    def _killed(self, study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
        """Trials that a process of this run folder began and left."""
        here = self._store.identity()
        return [
            trial
            for trial in study.trials
            if is_running(trial)
            and trial.user_attrs.get("folder") == here
            and not self._store.is_locked(f"trial-{self.id}-{trial.number}")
        ]

    def _close_killed(self, study: optuna.Study) -> None:
        import optuna

        for trial in self._killed(study):
            study._storage.set_trial_user_attr(trial._trial_id, "killed", True)
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)


@dataclass
class Claim:
    """A trial in the making.

    Attributes:
        of: Its study.
        study: The same, as Optuna knows it.
        trial: The trial, as Optuna knows it.
        index: Its place among the trials that count, from 0.
        params: The values of what is searched.
        lock: Held as long as it is being made.
    """

    of: Study
    study: optuna.Study
    trial: optuna.Trial
    index: int
    params: dict[str, Any]
    lock: BaseFileLock

    def settle(self, made: Outcome | TrialFailure) -> None:
        """Stores what came of it; one that came to nothing counts as made."""
        if isinstance(made, TrialFailure):
            self.of.tell_failure(self, made.reason, made.cost)
        else:
            self.of.tell(self, made)


def trial_cost(outcomes: Sequence[dict[str, Any]]) -> tuple[int, dict[str, int]]:
    """FLOPs that trials made for themselves, and of each thing that was made once for several."""
    kept: dict[str, int] = {}
    for outcome in outcomes:
        kept |= {key: flops for key, (_, flops) in outcome.get("kept", {}).items()}
    return sum(sum(outcome.get("flops", {}).values()) for outcome in outcomes), kept
