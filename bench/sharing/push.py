"""Models, records and pages on their way to the hub: what is uploaded, and how it fails.

An upload is one commit: it is there whole or not at all. What a repository has besides stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench import hub
from bench.deploy.export import export
from bench.deploy.kept import kept_model
from bench.errors import BenchError, first_line
from bench.files import write_text
from bench.leaderboard.templating import render_markdown
from bench.results.suites import RECORDS, read_suites
from bench.sharing.card import CARD, complete

if TYPE_CHECKING:
    from bench.results.record import Record
    from bench.results.store import Store

PAGES = ("*.html", "*.svg", "*.csv", "*.json", "assets/*")
"""What a static Space shows of a folder of pages."""

INDEX = "index.html"


@dataclass(frozen=True)
class Upload:
    """What becomes one repository.

    Attributes:
        kind: Its type on the hub.
        files: Files by their paths in it.
        message: Of the commit.
    """

    kind: Literal["model", "dataset", "space"]
    files: dict[str, Path]
    message: str

    @property
    def megabytes(self) -> float:
        """Its size."""
        return sum(path.stat().st_size for path in self.files.values()) / 1e6


def model_upload(store: Store, record: Record, to: str, scratch: Path) -> Upload:
    """The model that a cell kept, with its card.

    Args:
        store: The run folder.
        record: The cell's record.
        to: `ORG/NAME`, which its card names.
        scratch: A folder for what is made on the way.

    Raises:
        BenchError: There is no such model, or it has no stock form.
    """
    folder = scratch / "model"
    export(kept_model(store, record), folder, "hf", lambda made: complete(made, store, record, to))
    files = {path.relative_to(folder).as_posix(): path for path in _files(folder, ["**/*"])}
    return Upload("model", files, f"Cell {record.id}")


def leaderboard_uploads(folder: Path, scratch: Path) -> list[Upload]:
    """The records of a folder of pages as a data set, and its HTML pages as a static Space.

    Without HTML pages there is no Space.

    Raises:
        BenchError: The folder has no records.
    """
    from huggingface_hub import DatasetCard, DatasetCardData, SpaceCard, SpaceCardData

    if not folder.is_dir():
        raise BenchError(f"there is no folder {folder}: --leaderboards names another.")
    if not (suites := read_suites(folder / RECORDS)):
        raise BenchError(
            f"{folder} is no folder of pages: 'bench leaderboard --runs {folder} --out DIR' makes "
            "one."
        )
    frame = "---\n{{ card_data }}\n---\n\n{{ text }}\n"
    configs = [
        {"config_name": name, "data_files": f"{RECORDS}/{name}.jsonl"} for name in sorted(suites)
    ]
    data = DatasetCardData(
        pretty_name="Records of bench", tags=["model-compression", "bench"], configs=configs
    )
    text = render_markdown("dataset_card.md", rows=_rows(suites))
    card = scratch / "dataset.md"
    write_text(card, str(DatasetCard.from_template(data, template_str=frame, text=text)))
    records = {
        path.relative_to(folder).as_posix(): path for path in _files(folder, [f"{RECORDS}/*"])
    }
    uploads = [Upload("dataset", {**records, CARD: card}, "Records")]
    if (folder / INDEX).is_file():
        shown = {path.relative_to(folder).as_posix(): path for path in _files(folder, PAGES)}
        space = SpaceCardData(title="Leaderboards of bench", sdk="static", app_file=INDEX)
        about = scratch / "space.md"
        text = render_markdown("space_card.md", rows=_rows(suites))
        write_text(about, str(SpaceCard.from_template(space, template_str=frame, text=text)))
        uploads.append(Upload("space", {**shown, CARD: about}, "Pages"))
    return uploads


def check_hub() -> None:
    """Checks what every upload needs, before anything is made.

    Raises:
        BenchError: The hub cannot be reached, or there is no token.
    """
    from huggingface_hub import constants, get_token

    if not hub.reachable():
        raise BenchError(
            f"{constants.ENDPOINT} cannot be reached: nothing was pushed. --dry-run lists what "
            "would be."
        )
    if get_token() is None:
        raise BenchError("no token of the hub: set HF_TOKEN, or log in once with 'hf auth login'.")


def push(uploads: Sequence[Upload], to: str, *, private: bool) -> list[str]:
    """Pushes to repositories of one name, each made if it is not there.

    Args:
        uploads: What is pushed.
        to: `ORG/NAME`.
        private: Whether repositories that are made are private.

    Returns:
        Their addresses.

    Raises:
        BenchError: The hub does not take it.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError

    api, urls = HfApi(endpoint=constants.ENDPOINT), []
    for upload in uploads:
        made: dict[str, Any] = {"space_sdk": "static"} if upload.kind == "space" else {}
        try:
            url = api.create_repo(to, repo_type=upload.kind, private=private, exist_ok=True, **made)
            added = [CommitOperationAdd(name, path) for name, path in sorted(upload.files.items())]
            api.create_commit(to, added, commit_message=upload.message, repo_type=upload.kind)
        except HfHubHTTPError as error:
            if (status := error.response.status_code) in (401, 403):
                raise BenchError(
                    f"the hub does not let this token write to the {upload.kind} {to} ({status})."
                ) from None
            raise BenchError(f"the {upload.kind} {to}: {first_line(error)}") from error
        except (OSError, ValueError, RuntimeError) as error:  # of a connection, or of what is sent
            raise BenchError(f"the {upload.kind} {to}: {first_line(error)}") from error
        urls.append(str(url))
    return urls


def _files(folder: Path, patterns: Sequence[str]) -> list[Path]:
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return sorted(found)


def _rows(suites: dict[str, dict[str, Any]]) -> list[list[str]]:
    """A row a suite, as texts."""
    keys = ("model", "axis")
    return [
        [name, *(suite[key] for key in keys), f"{len(suite['cells']):,}", suite["protocol"]]
        for name, suite in sorted(suites.items())
    ]
