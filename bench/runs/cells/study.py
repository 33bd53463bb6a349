"""One Optuna study a (method, task, axis, ratio), the same number of trials in each.

A trial is a whole training on the *fit* rows, scored on the *tune* rows, from a seed that no report
has. A study lies in a journal in the run folder, or in any storage of Optuna's. Whoever makes a
trial holds a lock that dies with its process; a trial whose lock is free was killed, is closed, and
its parameters are queued again.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.compression.params import Knob
from bench.compression.target import TOLERANCE, meets
from bench.errors import BenchError, first_line
from bench.files import ID, read_json, remove, write_json
from bench.results.record import DENSE
from bench.results.store import Store
from bench.runs.cells.sampler import first_trials, sampler_name, sampler_of, suggest

if TYPE_CHECKING:
    import optuna
    from filelock import BaseFileLock

    from bench.runs.cells.context import BoundCell


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


class Study:
    """The study of a cell, which is that of every seed's cell.

    Args:
        bound: Any cell of the method, task, axis and ratio.

    Attributes:
        bound: The cell with the trials' seed.
        id: Its id; the study's name.
        space: What is searched: empty where there is nothing to tune or the ratio is unreachable.
        trials: How many trials it takes.
    """

    def __init__(self, bound: BoundCell) -> None:
        self.bound = bound.trial()
        self.id = self.bound.id
        self.space = self.bound.space
        context = bound.context
        self.trials = context.protocol.trials
        self._store = Store(context.runs)
        self._storage = context.storage
        rate = self.space.get("learning_rate", Knob())
        self._rate = rate.nearest(context.protocol.learning_rate)

    @property
    def folder(self) -> Path:
        """Where journal, logs and summary lie."""
        return self._store.root / "tuning" / self.id

    def summary(self) -> dict[str, Any]:
        """The trials that have ended, the best of them, and what they cost."""
        known = read_json(self.folder / "study.json")
        return known or {"complete": False, "trials": []}

    @contextlib.contextmanager
    def claim(self) -> Iterator[Claim | None]:
        """Yields a trial that nobody else makes, or `None` where none is left to make.

        A block that ends without `Claim.ended` or `Claim.failed` leaves the trial to be made again.
        """
        claimed = None
        with self._used():
            study = self._open()
            self._close_killed(study)
            begun = [trial for trial in study.trials if _is_spent(trial) or _is_running(trial)]
            if len(begun) < self.trials:
                taken = {trial.user_attrs.get("index") for trial in begun}
                index = next(i for i in range(self.trials) if i not in taken)
                study.sampler = sampler_of(self.trials, index)
                marks = {"index": index, "folder": self._store.identity()}
                study.enqueue_trial(self._fixed(study, index), user_attrs=marks)
                trial = study.ask()
                lock = self._store.lock(f"trial-{self.id}-{trial.number}")
                claimed = Claim(self, study, trial, index, self._suggest(trial), lock)
                lock.acquire(timeout=0)
            elif not self.summary()["complete"]:  # who told the storage was killed before this
                self._write(study)
        if claimed is None:
            yield None
            return
        try:
            yield claimed
        finally:
            claimed.lock.release()

    def give_up_killed(self, reason: str) -> None:
        """Counts trials whose process has died as made: what kills a worker would do so again."""
        import optuna

        with self._used():
            study = self._open()
            for trial in self._killed(study):
                study._storage.set_trial_user_attr(trial._trial_id, "error", reason)
                study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            self._write(study)

    def _write(self, study: optuna.Study) -> None:
        """Writes the summary, and removes references of trials that were not the best."""
        spent = [trial for trial in study.trials if _is_spent(trial)]
        spent.sort(key=lambda trial: int(trial.user_attrs["index"]))
        outcomes = [_described(trial) for trial in spent]
        scores = {
            place: outcome["score"]
            for place, outcome in enumerate(outcomes)
            if "error" not in outcome and meets(outcome["ratio"], self.bound.cell.ratio)
        }
        best = max(scores, key=lambda place: (scores[place], -place)) if scores else None
        complete = len(spent) >= self.trials
        flops, kept = trial_cost(outcomes)
        summary = {
            "cell": dataclasses.asdict(self.bound.cell),
            "complete": complete,
            "sampler": sampler_name(self.trials),
            "best": best,
            "trials": outcomes,
            "train_flops": flops + sum(kept.values()),
        }
        write_json(self.folder / "study.json", summary)
        if complete and self.bound.cell.method == DENSE and best is not None:
            self._keep_reference(outcomes[best]["reference"], outcomes)

    def _keep_reference(self, best: str, outcomes: Sequence[dict[str, Any]]) -> None:
        root = self._store.root
        for key in {str(outcome.get("reference")) for outcome in outcomes} - {best}:
            if ID.fullmatch(key):  # the journal may come from anybody, and name any folder
                remove(root / "references" / key, root)

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
        with self._store.lock(f"study-{self.id}"), self._storage_errors():
            yield

    def _open(self) -> optuna.Study:
        """The study, begun by its first user."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        return optuna.create_study(
            study_name=self.id,
            storage=self._storage or _journal(self.folder / "journal.log"),
            direction="maximize",
            load_if_exists=True,
        )

    @contextlib.contextmanager
    def _storage_errors(self) -> Iterator[None]:
        """Turns what the user's storage raises into one clear line; the trial is made again."""
        try:
            yield
        except BenchError:
            raise
        except Exception as error:  # of whatever library the storage needs
            lost = not isinstance(error, OSError) or isinstance(error, ConnectionError)
            if self._storage is None or not lost:  # the run folder's own disk
                raise
            raise _unusable(self._storage, error) from error

    def _fixed(self, study: optuna.Study, index: int) -> dict[str, Any]:
        """Parameters of a place that are not to be drawn: all of them, after a kill."""
        for trial in reversed(study.trials):
            if "killed" in trial.user_attrs and trial.user_attrs.get("index") == index:
                given: dict[str, Any] = trial.system_attrs.get("fixed_params", {})
                return given | trial.params
        first = first_trials(self.bound.method, self.space, self._rate, self.trials)
        return first[index] if index < len(first) else {}

    def _suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        space = self.space.items()
        defaults = self.bound.method.Params.defaults()
        return {n: suggest(trial, n, knob, defaults[n], self._rate) for n, knob in space}

    def _killed(self, study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
        """Trials that a process of this run folder began and left."""
        here = self._store.identity()
        return [
            trial
            for trial in study.trials
            if _is_running(trial)
            and trial.user_attrs.get("folder") == here
            and not self._store.is_locked(f"trial-{self.id}-{trial.number}")
        ]

    def _close_killed(self, study: optuna.Study) -> None:
        import optuna

        for trial in self._killed(study):
            study._storage.set_trial_user_attr(trial._trial_id, "killed", True)
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)


def check_storage(storage: str) -> None:
    """Tries Optuna's storage of studies before anything runs.

    Raises:
        BenchError: It cannot be used.
    """
    import optuna

    try:
        optuna.storages.get_storage(storage)
    except Exception as error:  # of whatever library the storage needs
        raise _unusable(storage, error) from error


def _unusable(storage: str, error: Exception) -> BenchError:
    return BenchError(f"--storage {storage} cannot be used: {first_line(error)}")


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

    def ended(self, outcome: Outcome) -> None:
        """Stores what came of it."""
        self.of.tell(self, outcome)

    def failed(self, reason: str, cost: Mapping[str, Any]) -> None:
        """Stores that it came to nothing, which counts as a trial made, and what it cost so far."""
        self.of.tell_failure(self, reason, cost)


def _journal(path: Path) -> optuna.storages.JournalStorage:
    """A study's journal; a line that a killed process left unfinished is taken off."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    class HeldLock(JournalFileOpenLock):
        """The study's own lock is held whenever its journal is used, and dies with its process."""

        def acquire(self) -> bool:
            return True

        def release(self) -> None:
            pass

    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not (content := path.read_bytes()).endswith(b"\n"):
        path.write_bytes(content[: content.rfind(b"\n") + 1])
    return JournalStorage(JournalFileBackend(str(path), lock_obj=HeldLock(str(path))))


def _is_running(trial: optuna.trial.FrozenTrial) -> bool:
    return trial.state.name == "RUNNING"


def _is_spent(trial: optuna.trial.FrozenTrial) -> bool:
    """Whether a trial was made to its end, well or not."""
    return trial.state.is_finished() and "killed" not in trial.user_attrs


def _described(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    error = trial.user_attrs.get("error")
    if error is None:
        return {"params": trial.params, **trial.user_attrs["outcome"]}
    return {"params": trial.params, "error": error, **trial.user_attrs.get("cost", {})}


def trial_cost(outcomes: Sequence[dict[str, Any]]) -> tuple[int, dict[str, int]]:
    """FLOPs that trials made for themselves, and of each thing that was made once for several."""
    kept: dict[str, int] = {}
    for outcome in outcomes:
        kept |= {key: flops for key, (_, flops) in outcome.get("kept", {}).items()}
    return sum(sum(outcome.get("flops", {}).values()) for outcome in outcomes), kept
