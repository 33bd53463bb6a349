"""What a run folder holds for all of its cells, on whatever machine: `settings.json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from bench.errors import BenchError
from bench.files import read_checked, write_json
from bench.protocol import Precision  # noqa: TC001 - resolved when a file is checked
from bench.results.store import Store
from bench.schema import check

SETTINGS = "settings.json"


@dataclass(frozen=True, kw_only=True)
class FolderSettings:
    """What may change a score without belonging to the protocol, and so is one a run folder.

    Attributes:
        precision: `fp32` or `bf16`.
        threads: Threads of a cell.
        teacher_cache_gb: Disk for the answers of teachers, in GB; 0 to compute them anew.
    """

    precision: Precision
    threads: Annotated[int, Meta(ge=1)]
    teacher_cache_gb: Annotated[float, Meta(ge=0)] = 0.0  # before there was one, no folder had any

    def __str__(self) -> str:
        """In words."""
        cache = self.teacher_cache_gb
        answers = f"up to {cache:g} GB of teachers' answers kept" if cache else "no teacher cache"
        return f"{self.precision}, {threads_words(self.threads)} a cell, {answers}"


def threads_words(count: int) -> str:
    """A number of threads in words."""
    return f"{count} thread{'s' * (count != 1)}"


def read_settings(runs: Path) -> FolderSettings | None:
    """The settings of a run folder; `None` where it is new.

    Raises:
        BenchError: The file does not say what it should.
    """
    if not (runs / SETTINGS).exists():
        return None
    try:
        return check(read_checked(runs / SETTINGS, FolderSettings), FolderSettings)
    except BenchError as error:
        raise BenchError(f"{runs / SETTINGS} holds no settings ({error}): remove it.") from None


def agree_on_settings(
    runs: Path,
    own: FolderSettings,
    *,
    precision: str | None,
    threads: int | None,
    teacher_cache_gb: float | None,
) -> tuple[FolderSettings, list[str]]:
    """The settings that rule a run: the folder's, or the run's own where the folder is new.

    Args:
        runs: The run folder.
        own: What the run would have in a folder of its own.
        precision: What the user insists on, if anything.
        threads: What the user insists on, if anything.
        teacher_cache_gb: What the user insists on, if anything.

    Returns:
        The settings, and a notice where the folder rules otherwise than the run would.

    Raises:
        BenchError: The folder has another setting than the user insists on.
    """
    settings = read_settings(runs) or own
    if precision not in (None, settings.precision):
        raise BenchError(
            f"the cells of {runs} are in {settings.precision}: "
            f"run in {precision} in another folder (--runs)."
        )
    if threads not in (None, settings.threads):
        raise BenchError(
            f"the cells of {runs} have {threads_words(settings.threads)} each: "
            f"take another folder (--runs) for {threads}."
        )
    if teacher_cache_gb not in (None, settings.teacher_cache_gb):
        raise BenchError(
            f"the cells of {runs} have --teacher-cache-gb {settings.teacher_cache_gb:g}: "
            f"take another folder (--runs) for {teacher_cache_gb:g}."
        )
    if settings == own:
        return settings, []
    return settings, [
        f"all cells of {runs} have {settings}, and so have these; a folder of its own would have "
        f"{own}."
    ]


def write_settings(runs: Path, settings: FolderSettings) -> None:
    """Writes the settings of a run folder, which holds them from now on.

    Raises:
        BenchError: Another run has given the folder other settings meanwhile.
        OSError: The folder cannot be written.
    """
    with Store(runs).lock("settings"):
        if (held := read_settings(runs) or settings) != settings:
            raise BenchError(
                f"another run has set {runs} to {held} meanwhile: run the same command again."
            )
        write_json(runs / SETTINGS, asdict(settings))
