"""The conformance suite: what every method has to keep, as tests that a plugin's author subclasses.

    import pytest
    from bench.testing import MethodConformance

    class TestMyMethod(MethodConformance):
        name = "my-method"

It runs on a tiny random encoder and a few dozen rows: seconds, no network, no data.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    BertTokenizer,
    PreTrainedModel,
)

from bench import registry
from bench.answers import text_column
from bench.compression.floor import Floor
from bench.compression.params import TrainParams
from bench.compression.target import Target
from bench.data.prepare import TaskData
from bench.errors import UnreachableError
from bench.models.checkpoint import objection_to_saving
from bench.models.footprint import compare, count, count_dense
from bench.protocol import Protocol, meets
from bench.runs.cells.cell_run import CellRun
from bench.runs.cells.context import Context
from bench.runs.cells.parameters import resolve_params, search_space
from bench.toys import (
    PIECES,
    ROWS,
    SPECIAL,
    TOYS,
    VOCABULARY,
    ToyKind,
    toy_config,
    toy_rows,
)
from bench.training import scoring
from bench.training.evaluate import answers_of, predict, respond
from bench.training.seeds import seed_everything

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bench.compression.method import Method
    from bench.compression.params import Params
    from bench.data.task import Task

EPOCHS = 2
"""Of the conformance suite, which asks for a size and a repetition, not for what was learnt."""


class Delivered(NamedTuple):
    """What a method made of a toy with seed 0.

    Attributes:
        toy: The toy.
        run: What it was lent.
        model: What it delivered.
        taught: The teachers that it asked for, as it left them.
    """

    toy: Toy
    run: CellRun
    model: PreTrainedModel
    taught: list[PreTrainedModel]


class MethodConformance:
    """Tests of one registered method.

    Attributes:
        name: The method's registered name.
        family: Family of the toy encoder, one of `bench.FAMILIES`.
        ratio: A compression that it can reach on the toy model.
        params: Parameters that differ from the defaults, if the toy needs them.
    """

    name: ClassVar[str]
    family: ClassVar[str] = "bert"
    ratio: ClassVar[float] = 4.0
    params: ClassVar[dict[str, Any]] = {}

    @pytest.fixture
    def toy(self, tmp_path: Path) -> Toy:
        """A run folder with a toy encoder in it."""
        method = registry.methods.get(self.name)
        return Toy(tmp_path, method, self.ratio, self.params, self.family, EPOCHS)

    @pytest.fixture(scope="class")
    def delivered(self, tmp_path_factory: pytest.TempPathFactory) -> Delivered:
        """What the method makes of the toy, once for all tests that only look at it."""
        method, root = registry.methods.get(self.name), tmp_path_factory.mktemp("delivered")
        toy = Toy(root, method, self.ratio, self.params, self.family, EPOCHS)
        taught: list[PreTrainedModel] = []
        return Delivered(toy, *toy.compress(watch=taught), taught)

    def test_search_space_holds_the_defaults(self) -> None:
        """Every default lies in its own range, and tuning can search what it may move."""
        method = registry.methods.get(self.name)
        for name, declared in method.Params.search_space().items():
            declared.check(name, method.Params.defaults()[name])
        target = Target("weights", 1.0 if method.info.kind == "reference" else self.ratio)
        search_space(method, toy_config(self.family), target)

    def test_listing_imports_no_torch(self) -> None:
        """Importing the method's module stays quick."""
        module = registry.methods.get(self.name).__module__
        code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

    @pytest.mark.parametrize("kind", TOYS)
    def test_reaches_the_target(self, delivered: Delivered, kind: ToyKind) -> None:
        """The delivered model is as small as was asked for, whatever the task asks."""
        toy, run, model, _ = delivered
        if kind != "classes":
            run, model = toy.compress(kind=kind)
            task = run.task
            reason = objection_to_saving(model, task.num_labels, spans=task.finds_spans)
            assert not reason, reason
            answers = respond(model, task.info.metric, run.data.report, "cpu").answers
            assert len(answers) == ROWS
        reached = compare(count_dense(run.pretrained()), count(model))["weights"]["ratio"]
        assert meets(reached, toy.wanted), f"{reached:.4g}× instead of {toy.wanted:g}×"
        if toy.method.info.kind == "unstructured":
            assert reached == pytest.approx(toy.wanted, rel=5e-3)

    def test_returns_a_plain_model(self, delivered: Delivered) -> None:
        """Nothing of the training is left in the model: no wrapper, parametrisation or hook."""
        _, run, model, _ = delivered
        assert isinstance(model, PreTrainedModel), f"a {type(model).__name__} is no model"
        assert not (reason := objection_to_saving(model, run.task.num_labels)), reason
        for name, module in model.named_modules():
            assert not hasattr(module, "parametrizations"), f"{name} is parametrised"
            hooks = [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]
            # transformers leaves its own recorders behind, which are idle unless asked
            own = [hook for hook in hooks if not str(hook.__module__).startswith("transformers.")]
            assert not own, f"{name} has the hook {own[0]}"

    def test_same_seed_same_result(self, delivered: Delivered) -> None:
        """The same seed gives the same weights to the bit."""
        first = delivered.model.state_dict()
        second = delivered.toy.compress()[1].state_dict()
        differ = [name for name in first if not torch.equal(first[name], second[name])]
        assert not differ, f"{differ[0]} differs, for one"

    def test_other_seed_other_result(self, delivered: Delivered) -> None:
        """Another seed gives another model."""
        if not issubclass(delivered.toy.method.Params, TrainParams):
            pytest.skip("nothing in it is drawn or trained")
        first = delivered.model.state_dict()
        second = delivered.toy.compress(seed=1)[1].state_dict()
        differ = [n for n in first if n not in second or not torch.equal(first[n], second[n])]
        assert differ, "two seeds gave the same weights"

    def test_survives_saving(self, delivered: Delivered, tmp_path: Path) -> None:
        """A saved model predicts the same when it is loaded by the Auto class."""
        _, run, model, _ = delivered
        model.save_pretrained(tmp_path / "saved")
        loaded = AutoModelForSequenceClassification.from_pretrained(
            tmp_path / "saved", trust_remote_code=False
        )
        before = predict(model, run.data.report, "cpu")
        np.testing.assert_array_equal(before, predict(loaded, run.data.report, "cpu"))

    def test_does_not_touch_the_teacher(self, delivered: Delivered) -> None:
        """The reference that a method starts or learns from stays as it was."""
        if not delivered.taught:
            pytest.skip("nobody teaches it")
        for model in delivered.taught:
            fresh = delivered.toy.run().finetuned().state_dict()
            changed = [k for k, value in model.state_dict().items() if not fresh[k].equal(value)]
            assert not changed, f"{changed[0]} of the teacher was changed"
            assert not model.training, "the teacher was put in training mode"

    def test_refuses_the_impossible(self, toy: Toy) -> None:
        """A ratio out of reach is an `UnreachableError`, not a model that is too large."""
        if toy.method.info.kind == "reference":
            pytest.skip("it compresses nothing")
        with pytest.raises(UnreachableError):
            toy.compress(ratio=1e9)


class ToyFloorRun:
    """What the harness lends a floor: texts of random words, and random states of each word."""

    def __init__(self, kind: ToyKind, sides: int) -> None:
        generator = np.random.default_rng(0)
        self.task: Task = TOYS[kind]()
        self._states = generator.normal(size=(VOCABULARY, 8))

        def texts() -> list[tuple[str, ...]]:
            words = generator.integers(0, VOCABULARY, (ROWS, sides, PIECES))
            return [tuple(" ".join(map(str, side)) for side in row) for row in words]

        self.train, self.asked = texts(), texts()
        first = np.array([int(row[0].split()[0]) for row in self.train])
        self.labels = {
            "classes": (first > VOCABULARY // 2).astype(int),
            "regression": (first / VOCABULARY).astype(np.float32),
            "spans": text_column((row[-1].split()[0],) for row in self.train),
        }[kind]

    def score(self, logits: NDArray[Any], labels: NDArray[Any]) -> float:
        """The toy's own metric."""
        if self.task.finds_spans:
            return scoring.score(self.task.info.metric, logits, labels).main
        answers = answers_of(logits, is_regression=self.task.is_regression)
        return scoring.score(self.task.info.metric, answers, labels).main

    def pooled(self, texts: Sequence[str], *, charged: bool) -> NDArray[Any]:
        """The mean of the words' states."""
        return np.stack([self._states[[int(w) for w in t.split()]].mean(axis=0) for t in texts])


class FloorConformance:
    """Tests of one registered floor, a control that delivers answers instead of a model.

    Attributes:
        name: The floor's registered name.
    """

    name: ClassVar[str]

    def test_is_listed_quickly_and_as_a_reference(self) -> None:
        """Importing its module stays quick, and it is one cell a task and seed."""
        floor = registry.methods.get(self.name)
        assert issubclass(floor, Floor), f"{self.name} is no bench.Floor"
        assert (floor.info.kind, floor.info.control) == ("reference", True)
        heavy = "'torch' in sys.modules or 'sklearn' in sys.modules"
        code = f"import sys, {floor.__module__}; sys.exit({heavy})"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

    @pytest.mark.parametrize(
        ("kind", "sides"),
        [("classes", 1), ("classes", 2), ("regression", 1), ("regression", 2), ("spans", 2)],
    )
    def test_answers_every_row_and_always_the_same(self, kind: ToyKind, sides: int) -> None:
        """One row of finite logits for each that is asked, to the bit, whatever was drawn before.

        Or a text, where spans are looked for. What was chosen is plain data.
        """
        answers = []
        for seed in (0, 1):
            seed_everything(seed)
            floor: Any = registry.methods.get(self.name)()
            run = ToyFloorRun(kind, sides)
            answers.append(floor.answer(run))
            if kind == "spans":
                texts = list(answers[-1].texts)
                assert len(texts) == ROWS
                assert all(isinstance(text, str) for text in texts)
            else:
                logits = np.asarray(answers[-1].logits)
                assert logits.shape == (ROWS, 1 if kind == "regression" else 2)
                assert np.isfinite(logits).all()
            json.dumps(dict(answers[-1].chosen), allow_nan=False)
        np.testing.assert_array_equal(answers[0].logits, answers[1].logits)
        np.testing.assert_array_equal(answers[0].texts, answers[1].texts)
        assert answers[0].chosen == answers[1].chosen


class Toy:
    """A run folder with a toy encoder and rows, and a method to run in it."""

    def __init__(
        self,
        root: Path,
        method: type[Method],
        ratio: float,
        params: dict[str, Any],
        family: str = "bert",
        epochs: int = 4,
    ) -> None:
        self.method = method
        self.wanted = 1.0 if method.info.kind == "reference" else ratio
        self._changed = params
        self._root = root
        self._epochs = epochs
        self._encoder = root / "encoder"
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_config(
            toy_config(family), trust_remote_code=False
        )
        model.save_pretrained(self._encoder)
        pieces = [*SPECIAL, *(f"w{number}" for number in range(VOCABULARY - len(SPECIAL)))]
        vocabulary = {piece: number for number, piece in enumerate(pieces)}
        BertTokenizer(vocabulary).save_pretrained(self._encoder)

    def run(self, seed: int = 0, ratio: float | None = None, kind: ToyKind = "classes") -> CellRun:
        """What the harness lends the method for one cell."""
        task = TOYS[kind]()
        train, report = toy_rows(0, kind), toy_rows(1, kind)
        prepared: Any = dataclasses.make_dataclass("Toy", ["fingerprint"])("toy")
        context = Context(
            runs=Path(tempfile.mkdtemp(dir=self._root)),
            protocol=Protocol(epochs=self._epochs, trials=0, precision="fp32", batch_size=8),
            encoder=self._encoder,
            weights="toy",
            tasks={task.name: prepared},
            device="cpu",
            threads=torch.get_num_threads(),
            keep_models="none",
        )
        return CellRun(
            context=context,
            method=self.method.info.name,
            task=task,
            target=Target("weights", ratio or self.wanted, 16),
            seed=seed,
            data=TaskData(fit=train, tune=report, train=train, report=report, facts={}),
            reference_params=TrainParams(learning_rate=context.protocol.learning_rate),
            log=lambda line: None,
            progress=lambda step, total: None,
        )

    def compress(
        self,
        seed: int = 0,
        ratio: float | None = None,
        kind: ToyKind = "classes",
        watch: list[PreTrainedModel] | None = None,
    ) -> tuple[CellRun, PreTrainedModel]:
        """Runs the method on the toy, as the harness does."""
        run = self.run(seed, ratio, kind)
        if watch is not None:
            lend = run.teacher
            run.teacher = lambda: watch.append(lend()) or watch[-1]  # type: ignore[method-assign, func-returns-value]
        defaults: Params = resolve_params(self.method, {}, run.context.protocol)
        seed_everything(seed)
        model = self.method().compress(run, dataclasses.replace(defaults, **self._changed))
        return run, model
