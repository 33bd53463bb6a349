"""The encoder that a run is about: found, tried, given a rate by its width, and what it learns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bench.data.task import Source, checked_rows
from bench.errors import BenchError
from bench.models.checkpoint import max_pieces, read_config
from bench.models.folder import model_folder, model_name
from bench.protocol import NONE, SEQUENCE_LENGTH, SYNTHETIC

if TYPE_CHECKING:
    from bench.data.corpus import Text
    from bench.data.task import Task
    from bench.models.causal_lm import Generator
    from bench.runs.cells.cell import Variant

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


def sequence_length(asked: int | None, encoder: Path, model: str) -> int:
    """Tokens of a row at most: what is asked for, or the usual number as far as they fit.

    Raises:
        BenchError: The encoder has not so many positions.
    """
    longest = max_pieces(encoder)
    if asked is not None and asked > longest:
        raise BenchError(f"--sequence-length {asked}: {model} takes {longest} tokens at most.")
    return asked or min(SEQUENCE_LENGTH, longest)


def with_missing_data(error: BenchError, tasks: Mapping[str, Task], source: Source) -> BenchError:
    """The error for a missing encoder; it says of the data too, where they are missing as well."""
    for task in tasks.values():
        try:
            checked_rows(task, source)
        except BenchError as other:
            return BenchError(f"{error} And {other}")
    return error


def check_learning(
    own: Mapping[str, str], variants: Iterable[Variant], encoder: Path, text: Text | None
) -> None:
    """Checks that the encoder can go on learning, if it is to.

    Args:
        own: The suite's options.
        variants: The rows, perhaps pinned to others.
        encoder: Folder of the encoder.
        text: The unlabelled text, if there is any.

    Raises:
        BenchError: There is no text, or the encoder has no masked-language-model head.
    """
    options = [own, *(variant.options for variant in variants)]
    if any(said.get("pretrain_steps", NONE) not in ("", NONE) for said in options):
        from bench.training.pretraining import check_pretraining

        check_pretraining(encoder, text)


def find_writer(
    intermediates: Iterable[str],
    encoder: Path,
    generator: str | None,
    text: Text | None,
    offline: bool,
) -> Generator | None:
    """The model that writes fake endings, where another than the encoder is asked for.

    Args:
        intermediates: Names of the intermediate tasks.
        encoder: Folder of the encoder.
        generator: Folder or hub name of the model that is asked for, if any.
        text: The unlabelled text, if there is any.
        offline: Never ask the network.

    Raises:
        BenchError: There is no text to write endings for, nobody who can, or nobody has asked.
    """
    asked = next((name for name in intermediates if name in SYNTHETIC), "")
    if not asked and generator is not None:
        raise BenchError("--generator writes the endings of --intermediate synthetic: ask for it.")
    if not asked:
        return None
    if text is None:
        raise BenchError(f"--intermediate {asked} is made from a text: name one by --corpus FILE.")
    if generator is not None:
        from bench.models.causal_lm import find_generator

        return find_generator(generator, offline=offline)
    from bench.data.endings import MaskedWriter

    try:
        MaskedWriter(encoder)
    except BenchError as error:
        raise BenchError(
            f"--intermediate {asked} has the encoder write endings, but {error}: name another "
            "model by --generator."
        ) from None
    return None
