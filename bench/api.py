"""The Python door: what the command line does, for scripts and notebooks.

    import bench

    result = bench.run(methods="magnitude", tasks="demo-sentiment", ratios=[4], seeds=2, runs="x")
    print(result)
    frame = result.records()

Everything is imported when it is first needed, so that `import bench` stays quick.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.errors import BenchError, unknown_name
from bench.files import refuse_outward_links

if TYPE_CHECKING:
    import pandas

    from bench.leaderboard.page import Page
    from bench.progress import RunDisplay
    from bench.results.record import Record
    from bench.runs.request import Request
    from bench.runs.schedule import Rerun
    from bench.runs.suite import Suite

PUBLISHED = Path("leaderboards")
"""Where a suite whose parameters are to be carried is looked for, beside the run folder."""


class RunStoppedError(BenchError):
    """A run ended before its time; what it had finished is kept."""


@dataclass(frozen=True)
class RunResult:
    """What came of a run.

    Attributes:
        runs: The run folder.
        page: The suite's page.
        left: Cells and trials that were left because of `max_hours`.
        failed: Records of cells that failed.
    """

    runs: Path
    page: Page
    left: int
    failed: list[Record]

    def records(self) -> pandas.DataFrame:
        """The suite's records, a row each; see `load_results`."""
        from bench.found import load_results

        return load_results(self.runs, name=self.page.suite["name"])

    def __str__(self) -> str:
        """The page's tables."""
        from bench.leaderboard.text import tables_of

        return tables_of(self.page)

    def _repr_html_(self) -> str:
        """The page's tables, as a notebook shows them."""
        from bench.leaderboard.text import tables_of

        return tables_of(self.page, "html")


def run(
    *,
    methods: str | Sequence[str] | None = None,
    tasks: str | Sequence[str] = "demo",
    model: str | None = None,
    data_dir: str | Path | None = None,
    challenge: str | Sequence[str] = (),
    challenge_dir: str | Path | None = None,
    corpus: str | Path | None = None,
    max_data_gb: float = 1.0,
    revision: str | None = None,
    ratios: float | Sequence[float] | None = None,
    match: Literal["weights", "flops", "bytes"] = "weights",
    effort: Literal["quick", "standard", "paper"] | None = None,
    seeds: int | str | Sequence[int] | None = None,
    epochs: int | None = None,
    trials: int | None = None,
    carry_from: str | None = None,
    max_train_samples: int | None = None,
    augment: int | None = None,
    sequence_length: int | None = None,
    overlap: Literal["removed", "kept"] = "removed",
    perturb: str | None = None,
    pretrain_steps: int | None = None,
    adapt_from: str | Path | None = None,
    intermediate: str | None = None,
    generator: str | Path | None = None,
    train_with: str | Sequence[str] = (),
    runs: str | Path = "runs",
    storage: str | None = None,
    name: str | None = None,
    workers: int | None = None,
    workers_per_gpu: int | None = None,
    threads: int | None = None,
    on: str | None = None,
    shard: tuple[int, int] = (1, 1),
    max_hours: float | None = None,
    cell_hours: float | None = None,
    cell_memory_gb: float | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    teacher_cache_gb: float | None = None,
    keep_models: Literal["first", "all", "none"] = "first",
    latency: bool | None = None,
    track: str | Sequence[str] | None = None,
    probe_text: str | Path | None = None,
    claims: Sequence[Mapping[str, Any]] = (),
    rerun: Rerun = "never",
    offline: bool = False,
    progress: bool = True,
) -> RunResult:
    """Runs methods on tasks under one protocol, as `bench run` does, and writes a page.

    What the run folder holds is not run again. `bench run --help` says more of each option.

    Args:
        methods: Names, perhaps with pinned parameters (`magnitude:scope=global`), or `all`.
        tasks: Names, groups (`glue`, `demo`), or TOML files that declare a task.
        model: The pre-trained encoder: a folder, a name on the hub, or `demo`.
        data_dir: Folder in the original GLUE layout; the hub otherwise.
        challenge: Challenge sets to be scored on as well.
        challenge_dir: Folder of challenge sets; the hub otherwise.
        corpus: Unlabelled text for general distillation; the task's own otherwise.
        max_data_gb: GB of text that a file of data may hold; each allows ten million rows.
        revision: Revision of the hub's data set.
        ratios: Wanted compression ratios, each above 1.
        match: What ratios are counted on.
        effort: Trials, seeds and epochs together.
        seeds: Report seeds: a number N for 0 … N−1, a text such as `10-14`, or a list of them.
        epochs: Epochs of a training.
        trials: Tuning trials of each method, task and ratio; 0 for the default parameters.
        carry_from: Take the parameters that another suite has tuned: `SUITE[:TASK[:RATIO]]`,
            several by commas, of which each row takes the first that has them.
        max_train_samples: Cap on a task's training rows.
        augment: Variants of each training row to train on as well.
        sequence_length: Tokens that rows are cut at and FLOPs are counted on.
        overlap: What becomes of training rows whose text is a report row's.
        perturb: How the input of trainings is perturbed, such as `word-dropout=0.1`.
        adapt_from: Task of another domain, whose training rows are learnt as well by EasyAdapt.
        train_with: Closed rounds of an arena, whose examples are learnt as well.
        pretrain_steps: Steps that the encoder first goes on learning for, on the unlabelled text.
        intermediate: The task that the encoder is fine-tuned on first, or `synthetic`.
        generator: Causal language model that writes the fake endings of `synthetic`.
        runs: The run folder.
        storage: Optuna storage of the studies, a database or `grpc://HOST:PORT` of Optuna's proxy;
            a journal each in the run folder otherwise.
        name: Name of the suite and its page.
        workers: Worker processes.
        workers_per_gpu: Worker processes that share a GPU, each with a part of its memory.
        threads: Threads of a cell, whatever the number of workers.
        on: `ray` or `HOST:PORT` of a Ray cluster, to run cells there: docs/scale.md.
        shard: Which part of the plan to run, and of how many: `(1, 4)`.
        max_hours: No cell is begun that would likely end later.
        cell_hours: A cell or trial that takes longer ends as a failed one.
        cell_memory_gb: So does one whose process holds more main memory.
        device: What trains.
        precision: What trainings compute in.
        teacher_cache_gb: Disk for what teachers answer, in GB.
        keep_models: Which compressed models stay on disk.
        latency: Whether every row's kept model is timed when all is done, on every engine.
        track: Trackers that are told of every cell: `tensorboard`, `mlflow`, `wandb`, `trackio`.
        probe_text: Held-out text to measure the masked-language-model loss on.
        claims: What the suite is run for, a mapping a claim: docs/claims.md.
        rerun: Which records are replaced.
        offline: Never ask the network.
        progress: Show bars and a line a cell, on standard error or in the notebook.

    Raises:
        BenchError: A name or value is not valid, or data or encoder are missing.
        RunStoppedError: The run folder cannot be written any more.
    """
    from rich.console import Console

    from bench import arguments as said
    from bench.progress import RunDisplay
    from bench.runs.command import words_of
    from bench.runs.request import Request
    from bench.runs.schedule import RERUN

    request = Request(
        methods=None if methods is None else said.names("methods", methods),
        tasks=said.names("tasks", tasks),
        model=said.text("model", model),
        data_dir=said.path("data_dir", data_dir),
        challenge=said.names("challenge", challenge) if challenge else (),
        challenge_dir=said.path("challenge_dir", challenge_dir),
        corpus=said.text("corpus", corpus),
        max_data_gb=said.number("max_data_gb", max_data_gb) or 0.0,
        revision=said.text("revision", revision),
        ratios=said.ratios(ratios),
        axis=match,
        effort=effort,
        seeds=seeds,
        epochs=said.whole("epochs", epochs),
        trials=said.whole("trials", trials),
        carry_from=said.text("carry_from", carry_from),
        published=PUBLISHED,
        max_train_samples=said.whole("max_train_samples", max_train_samples),
        augment=said.whole("augment", augment),
        sequence_length=said.whole("sequence_length", sequence_length),
        overlap=overlap,
        perturb=said.text("perturb", perturb),
        pretrain_steps=said.whole("pretrain_steps", pretrain_steps),
        adapt_from=said.text("adapt_from", adapt_from),
        intermediate=said.text("intermediate", intermediate),
        generator=said.text("generator", generator),
        train_with=said.names("train_with", train_with) if train_with else (),
        runs=said.path("runs", runs) or Path("runs"),
        storage=said.text("storage", storage),
        name=said.text("name", name),
        workers=said.whole("workers", workers),
        workers_per_gpu=said.whole("workers_per_gpu", workers_per_gpu),
        threads=said.whole("threads", threads),
        on=said.text("on", on),
        cell_hours=said.number("cell_hours", cell_hours),
        cell_memory_gb=said.number("cell_memory_gb", cell_memory_gb),
        device=device,
        precision=precision,
        teacher_cache_gb=said.number("teacher_cache_gb", teacher_cache_gb),
        keep_models=keep_models,
        latency=None if latency is None else bool(latency),
        track=() if track is None else said.names("track", track),
        probe_text=said.path("probe_text", probe_text),
        claims=claims,
        offline=bool(offline),
    )
    part, hours = said.part(shard), said.number("max_hours", max_hours)
    if hours is not None and not 0 < hours < float("inf"):
        raise BenchError(f"max_hours is a positive number, not {hours:g}.")
    if rerun not in tuple(RERUN):
        raise unknown_name("value of rerun", str(rerun), RERUN)
    display = RunDisplay(Console(stderr=True, highlight=False, emoji=False, quiet=not progress))
    return carry_out(request, display, words_of(request), part, rerun, hours)


def carry_out(
    request: Request,
    display: RunDisplay,
    words: Sequence[str],
    part: tuple[int, int] = (1, 1),
    rerun: Rerun = "never",
    max_hours: float | None = None,
    command: str = "run",
) -> RunResult:
    """Runs what a request asks for; both doors go through here.

    Args:
        request: What is asked for.
        display: Told of everything.
        words: The options as a page is to repeat them.
        part: Which part of the plan to run, and of how many.
        rerun: Which records are replaced.
        max_hours: No cell is begun that would likely end later.
        command: The command that repeats it.

    Raises:
        BenchError: See `run`.
    """
    from bench.deploy.rows import time_suite
    from bench.leaderboard.page import write_run_page
    from bench.results.store import Store
    from bench.runs.command import portable_command
    from bench.runs.launch import prepare
    from bench.runs.processes import warm_up
    from bench.runs.tracking import Trackers, Tracking

    if request.on is None:
        warm_up()
    suite = _resolved(request, display)
    refuse_outward_links(suite.runs)
    store = Store(suite.runs)
    trackers = Trackers(request.track, store, display.note)
    listener = Tracking(trackers, store, suite.name, display)
    launch = prepare(suite, part=part, rerun=rerun)
    for note in launch.notes():
        display.note(note)
    display.announce(launch)
    precision = suite.protocol.precision if suite.auto_precision else None
    with display:
        try:
            if note := suite.write(portable_command(words, precision, command), launch.context):
                display.note(note)
            left = launch.run(listener, max_hours)
            listener.complete()
            page = write_run_page(store, suite.name)
            if suite.latency and not left and time_suite(store, suite.name, suite.latency, display):
                page = write_run_page(store, suite.name)
        except (BenchError, OSError) as error:
            said = isinstance(error, BenchError)
            reason = str(error) if said else f"{suite.runs} cannot be written: {error}"
            if not display.has_ended:
                raise BenchError(reason) from error
            raise RunStoppedError(f"{reason}; finished cells and trials are kept.") from error
    return RunResult(suite.runs, page, left, launch.failed())


def foretell(request: Request, display: RunDisplay, part: tuple[int, int], rerun: Rerun) -> None:
    """Shows what a request would run and cost; runs nothing, and leaves nothing behind.

    Raises:
        BenchError: See `run`.
    """
    from bench.data.revisions import FILE as REVISIONS
    from bench.files import scratch_folder
    from bench.runs.launch import prepare

    suite = _resolved(request, display)
    with scratch_folder() as folder:
        known = suite.runs / "data" / REVISIONS
        if known.is_file():
            shutil.copy(known, folder)
        display.announce(prepare(suite, folder, part=part, rerun=rerun, augment=False))
    if suite.protocol.augment:
        display.say("steps are those with every variant of a row; making them comes on top")


def _resolved(request: Request, display: RunDisplay) -> Suite:
    """The suite that a request becomes; its notices are shown."""
    from bench import hub
    from bench.runs.request import resolve

    if request.offline:
        hub.go_offline()
    suite = resolve(request)
    if suite.storage is not None and suite.protocol.trials:
        from bench.runs.cells.storage import check_storage

        check_storage(suite.storage)
    for notice in suite.notices:
        display.note(notice)
    return suite
