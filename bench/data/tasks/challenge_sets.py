"""Published challenge sets, from a folder or from the hub: HANS, AdvGLUE, GLUE's diagnostic, PAWS.

In a folder of challenge sets each has one of its own, which holds the file that its authors
publish.
"""

from __future__ import annotations

import abc
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench import hub
from bench.data.task import Challenge, ChallengeInfo, ChallengeSet, Source, Task
from bench.data.tasks.formats import FORMATS, member
from bench.data.tasks.glue import GlueTask
from bench.data.tasks.groups import with_groups
from bench.data.tasks.rows import Layout, as_dataset, read_rows
from bench.errors import BenchError


@dataclass(frozen=True, kw_only=True)
class _Part:
    """Where a part of a set's rows lies.

    Attributes:
        local: Columns of the file in a folder.
        hub: Columns of the hub's file.
        pattern: What the hub's file is called.
    """

    local: Layout
    hub: Layout
    pattern: str


class PublishedSet(ChallengeSet):
    """A set that has files in a folder, and a copy on the hub.

    Attributes:
        files: Where its file may lie in a folder of challenge sets; the first that is there counts.
        repository: The hub's copy.
        revision: The branch of it that has the files, where it is not the main one.
        classes: The set's own classes; none where they are the task's.
        metric: A metric; that of the task where none is named.
    """

    files: ClassVar[tuple[str, ...]]
    repository: ClassVar[str]
    revision: ClassVar[str | None] = None
    classes: ClassVar[tuple[str, ...]] = ()
    metric: ClassVar[str] = ""

    @abc.abstractmethod
    def parts(self, task: GlueTask) -> dict[str, _Part]:
        """Where the rows for a task lie, by part; a single one is called nothing."""

    def grouped(self, extra: list[str], label: int) -> list[str]:
        """The groups of a row, given its label and the cells of its further columns."""
        return []

    def load(self, task: Task, source: Source) -> Challenge:
        """Reads the folder `source.data_dir`, or else the hub's copy."""
        assert isinstance(task, GlueTask)  # noqa: S101 - as all that `info.tasks` names are
        parts, remedy = self.parts(task), self._remedy()
        labels = self.classes or task.info.labels
        if source.data_dir is not None:
            folder, where = source.data_dir, {"source": "folder"}
            found = [name for name in self.files if (folder / name).exists()]
            names = dict.fromkeys(parts, (*found, self.files[0])[0])
            layouts = {part: one.local for part, one in parts.items()}
            if names[next(iter(parts))].endswith(".txt"):  # tab-separated, as all of them are
                layouts = {
                    part: dataclasses.replace(layout, take=FORMATS[".tsv"])
                    for part, layout in layouts.items()
                }
        else:
            folder = hub.snapshot(
                self.repository,
                "dataset",
                files=[one.pattern for one in parts.values()],
                revision=source.revision or self.revision,
                offline=source.offline,
                remedy=remedy,
            )
            where = {"source": self.repository, "revision": folder.name}
            names = {part: self._found(folder, one.pattern) for part, one in parts.items()}
            layouts = {part: one.hub for part, one in parts.items()}
        read = {
            part: read_rows(folder, names[part], layouts[part], labels, source.limits, remedy)
            for part in parts
        }
        digests = {names[part]: rows.digest for part, rows in read.items()}
        return Challenge(
            rows=with_groups(as_dataset(read), self.grouped),
            metric=self.metric or task.info.metric,
            merged=self.merged(task),
            provenance={**where, "files": ", ".join(map(" ".join, digests.items()))},
            skipped=tuple(line for rows in read.values() for line in rows.skipped),
        )

    def merged(self, task: GlueTask) -> tuple[int, ...] | None:
        """The set's class of each of the task's; `None` where they are the same."""
        return None

    def _found(self, folder: Path, pattern: str) -> str:
        found = sorted(folder.glob(pattern))
        if not found:
            raise BenchError(f"{self.repository} on the hub has no {pattern}. {self._remedy()}")
        return str(found[0].relative_to(folder))

    def _remedy(self) -> str:
        return (
            f"Either name a folder that holds {self.files[0]} with --challenge-dir DIR, or run "
            "without it after fetching the set once with a network: bench fetch --challenge "
            f"{self.name}."
        )


ENTAILED = "entailment"
"""What every task of inference calls the class of what follows from a premise."""


class Hans(PublishedSet):
    """HANS: what three shallow heuristics would answer, and half of it is wrong."""

    info = ChallengeInfo(
        name="hans",
        summary="does a model take shared words, a run of words or a clause for entailment",
        tasks=("mnli", "rte"),
        reference="McCoy, Pavlick and Linzen 2019, arXiv:1902.01007",
    )
    files = ("hans/heuristics_evaluation_set.txt", "hans/heuristics_evaluation_set.jsonl")
    repository = "jhu-cogsci/hans"
    revision = "refs/convert/parquet"
    classes = (ENTAILED, "non-entailment")
    metric = "accuracy"

    def parts(self, task: GlueTask) -> dict[str, _Part]:
        """One file."""
        local = Layout(
            text=("sentence1", "sentence2"), label="gold_label", named=True, extra=("heuristic",)
        )
        texts = ("premise", "hypothesis")
        there = dataclasses.replace(local, text=texts, label="label")
        return {"": _Part(local=local, hub=there, pattern="plain_text/validation/*.parquet")}

    def grouped(self, extra: list[str], label: int) -> list[str]:
        """The heuristic, and within it whether it is right."""
        return [extra[0], f"{extra[0]}: {self.classes[label]}"]

    def merged(self, task: GlueTask) -> tuple[int, ...]:
        """Neutral and contradiction are one class."""
        return tuple(int(label != ENTAILED) for label in task.info.labels or ())


class AdvGlue(PublishedSet):
    """AdvGLUE's dev rows: rows of GLUE, changed until models failed and people did not."""

    info = ChallengeInfo(
        name="advglue",
        summary="rows of the task's dev set, changed until models failed",
        tasks=("sst2", "qqp", "mnli", "qnli", "rte"),
        reference="Wang et al. 2021, arXiv:2111.02840",
    )
    files = ("advglue/dev.json",)
    repository = "AI-Secure/adv_glue"

    def parts(self, task: GlueTask) -> dict[str, _Part]:
        """A list of the file for each part of the task, and a folder of the hub's."""
        names = {"": (task.name, task.name), "matched": ("mnli", "mnli"),
                 "mismatched": ("mnli-mm", "mnli_mismatched")}  # fmt: skip
        plain = task.hub_layout()
        return {
            part: _Part(
                local=dataclasses.replace(plain, take=member(names[part][0])),
                hub=plain,
                pattern=f"adv_{names[part][1]}/validation-*.parquet",
            )
            for part in task.parts
        }


class Diagnostic(PublishedSet):
    """GLUE's diagnostic set, with its labels: inference by what it takes."""

    info = ChallengeInfo(
        name="diagnostic",
        summary="inference by what it takes: words, structure, logic or knowledge",
        tasks=("mnli",),
        reference="Wang et al. 2019, arXiv:1804.07461",
    )
    files = ("diagnostic/diagnostic-full.tsv",)
    repository = "pietrolesci/glue_diagnostics"
    metric = "matthews"
    categories: ClassVar[tuple[str, ...]] = (
        "Lexical Semantics", "Predicate-Argument Structure", "Logic", "Knowledge",
    )  # fmt: skip

    def parts(self, task: GlueTask) -> dict[str, _Part]:
        """One file; the hub's names its columns in lower case."""
        layout = Layout(
            text=("Premise", "Hypothesis"), label="Label", named=True, extra=self.categories
        )
        there = Layout(
            text=("premise", "hypothesis"),
            label="label",
            named=True,
            extra=tuple(map(str.lower, self.categories)),
        )
        return {"": _Part(local=layout, hub=there, pattern="data/test-*.parquet")}

    def grouped(self, extra: list[str], label: int) -> list[str]:
        """Categories, and what is tagged within them, which may be several things."""
        groups: dict[str, None] = {}
        for category, tags in zip(self.categories, extra, strict=True):
            for tag in filter(None, map(str.strip, tags.split(";"))):
                groups |= {category: None, f"{category}: {tag}": None}
        return list(groups)


class Paws(PublishedSet):
    """PAWS-Wiki: pairs of nearly the same words, in another order or with some replaced."""

    info = ChallengeInfo(
        name="paws",
        summary="pairs of nearly the same words, which often do not say the same",
        tasks=("qqp", "mrpc"),
        reference="Zhang, Baldridge and He 2019, arXiv:1904.01130",
    )
    files = ("paws/test.tsv", "paws/final/test.tsv")
    repository = "google-research-datasets/paws"

    def parts(self, task: GlueTask) -> dict[str, _Part]:
        """The test rows of the labelled part that people have looked at."""
        layout = Layout(text=("sentence1", "sentence2"), label="label")
        return {"": _Part(local=layout, hub=layout, pattern="labeled_final/test-*.parquet")}


SETS: dict[str, ChallengeSet] = {one.name: one for one in (Hans(), AdvGlue(), Diagnostic(), Paws())}
"""Every set that ships, by name."""
