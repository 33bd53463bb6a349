"""The encoder that a run is about: found, tried, and given a rate by its width."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bench.data.task import Source, checked_rows
from bench.errors import BenchError
from bench.models.checkpoint import read_config
from bench.models.folder import model_folder, model_name

if TYPE_CHECKING:
    from bench.data.task import Task

DEFAULT_MODEL = "google-bert/bert-base-uncased"
DEMO = "demo"
"""The group of built-in tasks, and what `--model` calls their encoder."""


def default_learning_rate(encoder: Path) -> float:
    """AdamW's peak rate where none is pinned, by the encoder's width: the wider, the smaller.

    Devlin et al. (2018) fine-tune BERT-base (768) at 2e-5 to 5e-5, Turc et al. (2019) miniatures
    from 128 on at up to 3e-4; the demo's encoder (64), which trains for seconds, takes 4e-3.
    """
    width = read_config(encoder).hidden_size
    return 5e-5 if width >= 768 else 2e-4 if width >= 128 else 4e-3


def find_encoder(
    model: str | None, tasks: Mapping[str, Task], *, offline: bool
) -> tuple[Path, str]:
    """Folder and name of the encoder that is asked for; that of the tasks where none is.

    Raises:
        BenchError: There is none of the name, or it cannot be read.
    """
    from bench.data.tasks.demo import demo_encoder_path
    from bench.models.checkpoint import load_tokenizer, read_classifier

    if model is None:
        demo = [task.info.group == DEMO for task in tasks.values()]
        if any(demo) and not all(demo):
            raise BenchError(
                "the demo's tasks have an encoder of their own: run them apart, or name one for "
                f"all tasks with --model (a folder, a hub name, or '{DEMO}')."
            )
        model = DEMO if all(demo) else DEFAULT_MODEL
    if model == DEMO:
        return demo_encoder_path(), "demo-encoder"
    folder = model_folder(model, offline=offline)
    # Tried now rather than in every cell; all of a method's promise is that this is pre-trained.
    read_classifier(folder, read_config(folder), fresh_head=True)
    load_tokenizer(folder)
    return folder, model_name(model, folder)


def with_missing_data(error: BenchError, tasks: Mapping[str, Task], source: Source) -> BenchError:
    """The error for a missing encoder; it says of the data too, where they are missing as well."""
    for task in tasks.values():
        try:
            checked_rows(task, source)
        except BenchError as other:
            return BenchError(f"{error} And {other}")
    return error
