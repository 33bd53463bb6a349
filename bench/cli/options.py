"""The options of `bench run`, and those that several commands share: what each may be."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.cli.values import (
    count,
    gigabytes,
    hours,
    memory,
    names,
    positive,
    ratios,
    seeds,
    shard,
)
from bench.inputs import USUAL


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds every option to the parser of `bench run`."""
    what = parser.add_argument_group("what is compared")
    what.add_argument(
        "--methods",
        type=names,
        metavar="all|NAME,…",
        help="methods, each perhaps with pinned parameters "
        "(magnitude:scope=global); dense always runs; default all (demo: the main ones and "
        "the controls)",
    )
    what.add_argument(
        "--tasks",
        type=names,
        metavar="demo|glue|NAME,…|FILE.toml",
        help="tasks, groups of them, or files that declare one (a comma in a path is \\,); "
        "default demo",
    )
    what.add_argument("--train-with", type=names, default=(), metavar="NAME,…",
                      help="closed rounds of an arena, folders of --challenge-dir, whose examples "
                      "are learnt as further training rows; default none")  # fmt: skip
    what.add_argument(
        "--ratios",
        type=ratios,
        metavar="R,…",
        help="compression ratios, each above 1; default 4,10,20 (demo 4,20)",
    )
    add_common(what)
    add_effort(parser)
    add_running(parser)


def add_common(what: argparse._ArgumentGroup) -> None:
    """Adds encoder, data, text, and what ratios and lengths are counted on."""
    what.add_argument(
        "--model",
        metavar="PATH|HUB",
        help="pre-trained encoder: a folder, a name on the hub, or demo; default "
        "google-bert/bert-base-uncased, for the demo's tasks the built-in one",
    )
    what.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="folder in the original GLUE layout; default: the hub's nyu-mll/glue",
    )
    what.add_argument(
        "--challenge",
        type=names,
        default=(),
        metavar="NAME,…",
        help="challenge sets that models are scored on as well, and never trained or tuned on: "
        "hans, advglue, diagnostic, paws, or a folder of --challenge-dir; a finished cell is "
        "scored anew if its model was kept",
    )
    what.add_argument(
        "--challenge-dir",
        type=Path,
        metavar="DIR",
        help="folder of challenge sets, a folder each; default: the hub",
    )
    what.add_argument(
        "--corpus",
        metavar="FILE|HUB",
        help="unlabelled text for general distillation (tinybert, dman, minilm) and pruning "
        "(prune-ofa): .txt with a passage a line, .jsonl or .parquet with a column text, or a "
        "data set of the hub; default: the task's own",
    )
    add_limit(what)
    what.add_argument(
        "--revision",
        metavar="REV",
        help="revision of the hub's data set; default: the one that the run folder was begun with",
    )
    what.add_argument(
        "--match",
        choices=("weights", "flops", "bytes"),
        default="weights",
        dest="axis",
        help="what the ratio is counted on: prunable weights, FLOPs at the sequence length, or "
        "bytes of the file, embeddings included",
    )
    what.add_argument(
        "--sequence-length",
        type=positive,
        metavar="N",
        help="tokens that rows are cut at, and that FLOPs are counted on; default 128, or as many "
        "as the encoder takes",
    )
    what.add_argument(
        "--overlap",
        choices=("removed", "kept"),
        default="removed",
        help="what becomes of training rows whose text is a report row's; default removed",
    )


def add_effort(parser: argparse.ArgumentParser) -> None:
    """Adds how long is trained and tuned."""
    effort = parser.add_argument_group("effort, equal for all methods")
    effort.add_argument(
        "--effort",
        choices=("quick", "standard", "paper"),
        help="trials, seeds and epochs together: quick 4, 3, 3; standard, the default, 20, 5, 6; "
        "paper 40, 5, 12; the demo has its own default of 0, 1, 3",
    )
    effort.add_argument(
        "--seeds",
        type=seeds,
        metavar="N|A-B,…",
        help="report seeds: 0 … N−1, or seeds and ranges such as 10-14 or 0-2,7",
    )
    effort.add_argument("--epochs", type=positive, metavar="E", help="epochs of a training")
    effort.add_argument(
        "--trials",
        type=count,
        metavar="N",
        help="tuning trials of each method, task and ratio; 0: the default parameters",
    )
    effort.add_argument(
        "--carry-from",
        metavar="SUITE[:TASK[:RATIO]],…",
        help="take the parameters that another suite has tuned, of the same task and the nearest "
        "ratio unless others are named, from the first that has them; suites of --runs or of "
        "leaderboards/",
    )
    effort.add_argument(
        "--max-train-samples",
        type=positive,
        metavar="N",
        help="at most N training rows per task, chosen by a hash of the text",
    )
    effort.add_argument(
        "--augment",
        type=count,
        metavar="N",
        help="train on N variants of each row as well, made by word replacement with the "
        "encoder's own masked language model; default 0: none",
    )
    effort.add_argument(
        "--perturb",
        metavar="NAME=X+…|none",
        help="perturb the input of every training on the task's rows, dense's too: word-dropout=R, "
        "replace-uniform=R, replace-similar=R, adversarial=EPS, and for replacements the schedule "
        "inverse-sigmoid=K ('bench describe perturb'); a method may be pinned to another "
        "(magnitude:perturb=word-dropout=0.1); default none",
    )
    effort.add_argument(
        "--pretrain-steps",
        type=count,
        metavar="N",
        help="let the encoder go on learning to name hidden pieces of --corpus for N steps first, "
        "once for all methods, and charged; a method may be pinned to another number "
        "(magnitude:pretrain_steps=500); default 0",
    )
    effort.add_argument(
        "--adapt-from",
        metavar="NAME|FILE.toml",
        help="learn all training rows of another task with the same labels, too, by EasyAdapt: "
        "labelled rows of another domain; default none",
    )
    effort.add_argument(
        "--intermediate",
        metavar="TASK|synthetic|none",
        help="fine-tune the encoder on another task first, and start everything from that: a task, "
        "or real-or-fake endings made from --corpus, among four (synthetic) or one by one "
        "(synthetic-binary); a method may be pinned to another (magnitude:intermediate=mrpc); "
        "default none",
    )
    effort.add_argument(
        "--generator",
        metavar="PATH|HUB",
        help="causal language model that writes the fake endings of --intermediate synthetic; "
        "default: the encoder's own masked language model",
    )


def add_running(parser: argparse.ArgumentParser) -> None:
    """Adds where, with what and for how long it runs, and what it keeps."""
    how = parser.add_argument_group("how it runs")
    how.add_argument(
        "--runs",
        type=Path,
        default=Path("runs"),
        metavar="DIR",
        help="run folder; what it holds is not run again; default runs",
    )
    how.add_argument(
        "--storage",
        metavar="URL",
        help="where Optuna keeps the studies: postgresql://… or another database, or "
        "grpc://HOST:PORT of its proxy; default a journal each in the run folder",
    )
    how.add_argument("--name", metavar="SUITE", help="name of the suite and its page")
    how.add_argument(
        "--workers",
        type=positive,
        metavar="N",
        help="processes; default one a core, at most 4, or one a GPU (demo: 2)",
    )
    how.add_argument(
        "--workers-per-gpu",
        type=positive,
        metavar="N",
        help="processes that share a GPU, each with a part of its memory: small encoders leave "
        "most of one idle; default 1",
    )
    how.add_argument(
        "--threads",
        type=positive,
        metavar="N",
        help="threads of a cell, whatever --workers is; one setting a run folder; default 1",
    )
    how.add_argument("--on", metavar="WHERE",
                     help="run cells on a Ray cluster: HOST:PORT of one that runs, or ray for one "
                     "that this command starts here; default: worker processes")  # fmt: skip
    how.add_argument(
        "--shard",
        type=shard,
        metavar="I/N",
        default=(1, 1),
        help="run the I-th of N parts of the plan",
    )
    how.add_argument(
        "--max-hours",
        type=hours,
        metavar="H",
        help="start no cell that would likely end after H hours; the same command goes on later",
    )
    how.add_argument(
        "--cell-hours",
        type=hours,
        metavar="H",
        help="end a cell or trial that takes longer than H hours, as a failed one; default: none",
    )
    how.add_argument(
        "--cell-memory-gb",
        type=memory,
        metavar="G",
        help="end a cell or trial whose process holds more than G GB of main memory, as a failed "
        "one; default: none",
    )
    how.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="default auto: a GPU where there is one",
    )
    how.add_argument(
        "--precision",
        choices=("auto", "fp32", "bf16"),
        default="auto",
        help="of the training; auto: bf16 where the hardware multiplies in it (the demo: fp32)",
    )
    how.add_argument(
        "--teacher-cache-gb",
        type=gigabytes,
        metavar="G",
        help="disk for what teachers answer to the training rows, computed once for all epochs, "
        "trials and methods; one setting a run folder; default 4, on a GPU 0 (no cache)",
    )
    how.add_argument(
        "--keep-models",
        choices=("first", "all", "none"),
        default="first",
        help="which compressed models stay on disk; default first: those of the first seed",
    )
    how.add_argument(
        "--latency",
        action=argparse.BooleanOptionalAction,
        help="when all is done, time every row's kept model and the dense one on every engine of "
        "the processor, one example of the task's median length; default no (demo: plain torch)",
    )
    how.add_argument("--track", type=names, metavar="TRACKER,…",
                     help="tell tensorboard, mlflow, wandb or trackio of every cell that ends; in "
                     "the run folder, unless the tracker's own variables say where")  # fmt: skip
    how.add_argument(
        "--probe-text",
        type=Path,
        metavar="FILE",
        help="held-out text, a passage a line, some hundred of them, for 'bench knowledge': a head "
        "is fitted on every model with one half, and its masked-language-model loss is measured on "
        "the other; the demo's encoder has its own",
    )
    how.add_argument(
        "--rerun",
        choices=("never", "failed", "missed", "all"),
        default="never",
        help="which records are replaced; default never",
    )
    how.add_argument("--offline", action="store_true", help="never ask the network")
    how.add_argument(
        "--config",
        type=Path,
        metavar="FILE.toml",
        help="options from a file, by their long names, and the claims of a suite; the command "
        "line wins",
    )
    how.add_argument(
        "--dry-run",
        action="store_true",
        help="print cells, steps, and an estimate of time and disk; run nothing",
    )


def add_limit(parser: argparse._ActionsContainer) -> None:
    """Adds how much a file of data may hold."""
    parser.add_argument(
        "--max-data-gb",
        type=gigabytes,
        metavar="G",
        default=USUAL.gigabytes,
        help="GB of text that a file of data may hold; each allows ten million rows, and ten "
        "million characters in a line or cell; default 1",
    )


def add_suite(parser: argparse.ArgumentParser) -> None:
    """Adds what names a suite to be read, and how it is printed."""
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR",
                        help="run folder, or one of pages; default runs")  # fmt: skip
    parser.add_argument("--name", metavar="SUITE", help="which suite, where there are several")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
