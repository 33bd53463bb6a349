"""The contract of a compression method, and of the run that the harness lends it.

A method declares what it is (`info`), what can be tuned (`Params`), and one function from a run to
a compressed model. It reads from top to bottom like the algorithm in its paper; everything that
must be equal among methods (data, batches, optimizer steps, seeds, evaluation, counting) stays with
the harness. This module imports nothing heavy, so that listing methods stays quick; a method's own
module should keep it so (`import bench`, then `bench.GradualPruner` inside `compress`).
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from bench.compression.params import TrainParams
from bench.compression.target import Kind  # noqa: TC001 - the registry resolves MethodInfo's hints

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor
    from transformers import PretrainedConfig, PreTrainedModel

    from bench.compression.callbacks import Batch, Callback, Loss
    from bench.compression.language_model import LanguageModel
    from bench.compression.params import Knob, Params
    from bench.compression.target import Target
    from bench.data.task import Task


Start = Literal["pretrained", "finetuned", "random", "none"]
Teacher = Literal["none", "finetuned", "pretrained"]


@dataclass(frozen=True, kw_only=True)
class MethodInfo:
    """What is known of a method before it runs; feeds listings, pages and docs alike.

    Attributes:
        name: Name on the command line, in records and pages: lower case letters, digits, `-`, `_`.
        summary: One line that says what the method does.
        kind: `unstructured` sets single weights to zero; `structured` removes heads, neurons or
            layers; `small` is a smaller dense model; `reference` compresses nothing and is one
            cell a (task, seed), at ratio 1.
        removes: What goes, in a few words ("single weights of the six matrices of each layer").
        cuts_width: Whether a structured one removes hidden dimensions, too: it then reaches ratios
            that heads and neurons alone do not.
        mask_attention: Whether the layers of a small one begin with mask attention.
        starts_from: The weights that it starts from, unless a parameter `init` says otherwise.
        teacher: Who teaches it, unless a parameter `teacher` says otherwise.
        control: Whether it stands in the table to be beaten rather than to compete.
        paper: Where it is described, such as `arXiv:1710.01878`; empty for a control.
        paper_steps: Optimizer steps of a main GLUE run of the paper, where they are known; a page
            says so where a run had far fewer.
        works_from: Optimizer steps below which the method has not been seen to choose better than
            chance, from figures of our own (`benchmarks/works_from.py`); 0 where nothing is known.
            A page says so where a run had fewer.
        families: `model_type`s of the encoders that it can serve.
        requires: Modules that must be importable, each with the line that installs it.
        version: Raise it when the same parameters would now give another model.
        revised_after: Tasks whose scores had been seen when defaults or rules were last changed;
            `()` where what was changed mended a fault that no score had shown. A page says so of
            its rows. It does not promise anything of a raised version that leaves this silent.
    """

    name: str
    summary: str
    kind: Kind
    removes: str
    cuts_width: bool = False
    mask_attention: bool = False
    starts_from: Start
    teacher: Teacher = "none"
    control: bool = False
    paper: str = ""
    paper_steps: int = 0
    works_from: int = 0
    families: tuple[str, ...] = ("bert", "roberta", "electra", "distilbert")
    requires: Mapping[str, str] = dataclasses.field(default_factory=dict)
    version: int = 1
    revised_after: tuple[str, ...] | None = None


class Run(Protocol):
    """What the harness lends a method for one cell.

    Attributes:
        task: The task, with its number of labels and whether it is a regression.
        target: The compression wanted; `target.density(model)` is the share of weights to keep.
        seed: The cell's seed. Random draws of a method come from
            `torch.Generator().manual_seed(run.seed)` or from torch's default generator, which the
            harness has seeded.
    """

    task: Task
    target: Target
    seed: int

    def log(self, line: str) -> None:
        """Writes a line to the cell's log."""

    def labels(self) -> NDArray[Any]:
        """Labels of the training rows: class numbers or figures, `[rows]`, or ends, `[rows, 2]`."""

    def pretrained(self) -> PreTrainedModel:
        """A fresh copy of the pre-trained encoder with a new classification head."""

    def finetuned(self, params: TrainParams | None = None) -> PreTrainedModel:
        """A fresh copy of the same encoder fine-tuned on the task, trained once and shared.

        Args:
            params: How it is trained; without them it is the reference of the task.
        """

    def teacher(self) -> PreTrainedModel:
        """The reference, frozen and in eval mode; not to be changed."""

    def pretrained_teacher(self) -> PreTrainedModel:
        """The pre-trained encoder, frozen and in eval mode; not to be changed."""

    def language_model(self) -> LanguageModel:
        """A fresh copy of the pre-trained encoder with its masked-language-model head.

        Where the checkpoint has no head, one is fitted on the frozen encoder and the text that
        `train_general` trains on, and charged.

        Raises:
            BenchError: The tokenizer has no mask, or the library no such head for this encoder.
        """

    def language_teacher(self) -> LanguageModel:
        """The same, frozen and in eval mode; not to be changed."""

    def sample(
        self,
        model: PreTrainedModel,
        rows: int | None = None,
        *,
        passes: int,
        batch_size: int | None = None,
    ) -> list[Batch]:
        """Training rows drawn from the seed, in batches as `model` takes them.

        Args:
            model: The model that they are for.
            rows: How many, at most all; where it is not given all of them, those of like length
                together.
            passes: Forward passes over them that the cell is charged (a gradient is worth three).
            batch_size: Rows of a batch; the protocol's where it is not given.
        """

    def train(
        self,
        model: PreTrainedModel,
        *,
        loss: Loss,
        params: TrainParams,
        callbacks: Sequence[Callback] = (),
        share: float = 1.0,
        augmented: bool = True,
    ) -> None:
        """Trains `model` in place on the task's rows, for the protocol's epochs or a share of them.

        Args:
            model: The model.
            loss: From model and batch to a scalar.
            params: Learning rate, its schedule, and weight decay; the schedule spans this call.
            callbacks: Called in the given order around each step.
            share: This phase's share of the protocol's optimizer steps; those of all phases of a
                cell add up to 1 at most.
            augmented: Whether the variants of rows that `--augment` made are among them; without
                them the steps stay as many.

        Raises:
            BenchError: The phases would make more steps than the protocol gives every method.
            DivergedError: The loss became NaN or infinite.
        """

    def train_general(
        self,
        model: PreTrainedModel,
        *,
        loss: Loss,
        callbacks: Sequence[Callback] = (),
        epochs: int = 1,
    ) -> None:
        """Trains `model` in place on unlabelled text, on top of the protocol's epochs, and charged.

        Its learning rate is the default one whatever tuning moves, so that what `shared` keeps
        serves every trial. The text is that of `--corpus`, or the task's own without its labels,
        which `loss` must not look at: they are all zero.
        """

    def shared(
        self, key: Mapping[str, Any], make: Callable[[Run], dict[str, Tensor]]
    ) -> dict[str, Tensor]:
        """Tensors that depend on encoder and unlabelled text, but neither on labels nor on a seed.

        They are made once a run folder and kept; whoever asks is charged as if it had made them.

        Args:
            key: What they depend on beside the encoder, the text and the method: plain data.
            make: Makes them with a run that has a seed of its own and lends neither labels nor what
                was trained on them: `task`, `target`, `seed`, `log`, `pretrained`,
                `pretrained_teacher`, `language_model`, `language_teacher` and `train_general` are
                there, anything else is a `BenchError`.
        """


class Method(abc.ABC):
    """A way of making a model smaller.

    Subclasses set `info`, may set `Params`, and implement `compress`. A method never measures
    itself: the harness recounts and evaluates what it delivers.
    """

    info: ClassVar[MethodInfo]
    Params: ClassVar[type[Params]] = TrainParams

    @classmethod
    def search_space(cls, config: PretrainedConfig, target: Target) -> dict[str, Knob]:
        """The knobs that tuning may move; override it where a range depends on the encoder.

        Args:
            config: The uncompressed model's.
            target: The compression wanted.
        """
        return cls.Params.search_space()

    @abc.abstractmethod
    def compress(self, run: Run, params: Any) -> PreTrainedModel:
        """Returns a compressed model.

        Args:
            run: What the harness lends: models, target, training loop, seed.
            params: An instance of this class's `Params`.

        Returns:
            A plain model, with zeros baked in and no wrapper left, that `save_pretrained` and
            `from_pretrained` round-trip to the same predictions.
        """
