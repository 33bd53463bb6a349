"""The nine GLUE tasks, from a folder in the original layout or from the hub.

Classes have the hub's numbers wherever the rows come from.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bench import hub
from bench.data.task import Source, Splits, Task, TaskInfo
from bench.data.tasks.rows import Layout, read_splits, read_unlabelled

if TYPE_CHECKING:
    from datasets import Dataset

_REPOSITORY = "nyu-mll/glue"


def _info(
    name: str,
    summary: str,
    labels: tuple[str, ...] | None,
    metric: str,
    paper: str,
    licence: str = "",
) -> TaskInfo:
    return TaskInfo(
        name=name,
        summary=summary,
        labels=labels,
        metric=metric,
        group="glue",
        reference=f"Wang et al. 2019, arXiv:1804.07461; {paper}",
        licence=licence,
    )


DIAGNOSTIC = "diagnostic"
"""The part of MNLI's test rows that is GLUE's diagnostic set (AX)."""


class GlueTask(Task):
    """A task of the suite.

    Attributes:
        folder: Its folder in the original layout.
        layout: The columns of its files there; on the hub the label's column is always `label`.
        hub_text: The columns of the texts on the hub, where they have other names there.
        parts: Parts of the dev set that have a file each; `""` for the only file.
    """

    folder: ClassVar[str]
    layout: ClassVar[Layout]
    hub_text: ClassVar[tuple[str, ...]] = ()
    parts: ClassVar[tuple[str, ...]] = ("",)

    def load(self, source: Source) -> Splits:
        """Reads the folder `source.data_dir`, or else the hub's copy."""
        remedy = self._remedy()
        if source.data_dir is not None:
            return read_splits(
                source.data_dir,
                self.layout,
                self.info.labels,
                train=f"{self.folder}/train.tsv",
                dev=self._dev(f"{self.folder}/dev", ".tsv"),
                provenance={"source": "folder"},
                limits=source.limits,
                remedy=remedy,
            )
        train = f"{self.name}/train-00000-of-00001.parquet"
        dev = self._dev(f"{self.name}/validation", "-00000-of-00001.parquet")
        folder = self._snapshot(source, train, *dev.values())
        return read_splits(
            folder,
            self.hub_layout(),
            self.info.labels,
            train=train,
            dev=dev,
            provenance={"source": _REPOSITORY, "revision": folder.name},
            limits=source.limits,
            remedy=remedy,
        )

    def load_test(self, source: Source) -> dict[str, Dataset]:
        """The rows that the GLUE server has the labels of, a data set a part; their labels are 0.

        Raises:
            BenchError: A file is missing, or one of its rows cannot be read.
        """
        if source.data_dir is not None:
            folder, files = source.data_dir, self._dev(f"{self.folder}/test", ".tsv")
            layout = dataclasses.replace(self.layout, header=())  # CoLA's has a header, here alone
        else:
            files = self._dev(f"{self.name}/test", "-00000-of-00001.parquet")
            folder, layout = self._snapshot(source, *files.values()), self.hub_layout()
        return {
            part: read_unlabelled(
                folder, name, layout, self.is_regression, source.limits, self._remedy()
            )
            for part, name in files.items()
        }

    def _snapshot(self, source: Source, *files: str) -> Path:
        """The folder of the hub's copy that holds some files."""
        return hub.snapshot(
            _REPOSITORY,
            "dataset",
            files=files,
            revision=source.revision,
            offline=source.offline,
            remedy=self._remedy(),
        )

    def submission(self, part: str) -> str:
        """The name of a part's file at the GLUE server, without its ending."""
        return self.folder + {"": "", "matched": "-m", "mismatched": "-mm"}[part]

    def hub_layout(self) -> Layout:
        """The columns of the hub's files."""
        return dataclasses.replace(
            self.layout, text=self.hub_text or self.layout.text, label="label"
        )

    def _remedy(self) -> str:
        return (
            "Either name a folder in the original GLUE layout with --data-dir DIR, or run without "
            f"it after fetching the task once with a network: bench fetch --tasks {self.name}."
        )

    def _dev(self, stem: str, end: str) -> dict[str, str]:
        """The file of each part of the dev or the test set."""
        return {part: f"{stem}_{part}{end}" if part else f"{stem}{end}" for part in self.parts}


class CoLA(GlueTask):
    """Corpus of Linguistic Acceptability."""

    info = _info(
        "cola",
        "is the sentence grammatical English",
        ("unacceptable", "acceptable"),
        "matthews",
        "Warstadt et al. 2019, arXiv:1805.12471",
    )
    folder = "CoLA"
    layout = Layout(
        text=("sentence",), label="label", header=("source", "label", "note", "sentence")
    )


class SST2(GlueTask):
    """Stanford Sentiment Treebank, two classes."""

    info = _info(
        "sst2",
        "is the sentence of a film review positive",
        ("negative", "positive"),
        "accuracy",
        "Socher et al. 2013, aclanthology.org/D13-1170",
    )
    folder = "SST-2"
    layout = Layout(text=("sentence",), label="label")


class MRPC(GlueTask):
    """Microsoft Research Paraphrase Corpus."""

    info = _info(
        "mrpc",
        "do two sentences from the news say the same",
        ("not_equivalent", "equivalent"),
        "accuracy_f1",
        "Dolan and Brockett 2005, aclanthology.org/I05-5002",
    )
    folder = "MRPC"
    layout = Layout(text=("#1 String", "#2 String"), label="Quality")
    hub_text = ("sentence1", "sentence2")


class STSB(GlueTask):
    """Semantic Textual Similarity Benchmark."""

    info = _info(
        "stsb",
        "how alike are two sentences, from 0 to 5",
        None,
        "pearson_spearman",
        "Cer et al. 2017, arXiv:1708.00055",
    )
    folder = "STS-B"
    layout = Layout(text=("sentence1", "sentence2"), label="score", low=0, high=5)


class QQP(GlueTask):
    """Quora Question Pairs."""

    info = _info(
        "qqp",
        "do two questions ask the same",
        ("not_duplicate", "duplicate"),
        "accuracy_f1",
        "Iyer et al. 2017, First Quora Dataset Release: Question Pairs",
    )
    folder = "QQP"
    layout = Layout(text=("question1", "question2"), label="is_duplicate")


class MNLI(GlueTask):
    """Multi-Genre Natural Language Inference; genres of dev are those of train, or others."""

    info = _info(
        "mnli",
        "does the premise entail the hypothesis, contradict it, or neither",
        ("entailment", "neutral", "contradiction"),
        "accuracy",
        "Williams et al. 2018, arXiv:1704.05426",
    )
    folder = "MNLI"
    layout = Layout(text=("sentence1", "sentence2"), label="gold_label", named=True)
    hub_text = ("premise", "hypothesis")
    parts = ("matched", "mismatched")

    def load_test(self, source: Source) -> dict[str, Dataset]:
        """Both test sets, and the diagnostic set, which the server wants answered by this task."""
        found = super().load_test(source)
        if source.data_dir is None:
            name, layout = "ax/test-00000-of-00001.parquet", self.hub_layout()
            folder = self._snapshot(source, name)
        else:
            folder, name, layout = source.data_dir, "diagnostic/diagnostic.tsv", self.layout
            if not (folder / name).exists():  # it is a download of its own
                return found
        found[DIAGNOSTIC] = read_unlabelled(
            folder, name, layout, False, source.limits, self._remedy()
        )
        return found

    def submission(self, part: str) -> str:
        """The name of a part's file at the GLUE server, without its ending."""
        return "AX" if part == DIAGNOSTIC else super().submission(part)


class QNLI(GlueTask):
    """Question-answering Natural Language Inference, made from SQuAD."""

    info = _info(
        "qnli",
        "does the sentence answer the question",
        ("entailment", "not_entailment"),
        "accuracy",
        "Rajpurkar et al. 2016, arXiv:1606.05250",
        "CC-BY-SA-4.0",  # SQuAD's; of the other tasks' texts GLUE names none
    )
    folder = "QNLI"
    layout = Layout(text=("question", "sentence"), label="label", named=True)


class RTE(GlueTask):
    """Recognizing Textual Entailment, four yearly challenges in one."""

    info = _info(
        "rte",
        "does the first text entail the second",
        ("entailment", "not_entailment"),
        "accuracy",
        "Dagan et al. 2006 to Bentivogli et al. 2009",
    )
    folder = "RTE"
    layout = Layout(text=("sentence1", "sentence2"), label="label", named=True)


class WNLI(GlueTask):
    """Winograd Natural Language Inference: pronouns replaced by what they may refer to."""

    info = _info(
        "wnli",
        "is the pronoun replaced by what it refers to",
        ("not_entailment", "entailment"),
        "accuracy",
        "Levesque et al. 2012, The Winograd Schema Challenge",
    )
    folder = "WNLI"
    layout = Layout(text=("sentence1", "sentence2"), label="label")
