"""Prune Once for All (Zafrir et al. 2021, arXiv:2111.05754)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import bench
from bench import Method, MethodInfo, Run, TaughtParams, knob

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

PRUNING = 0.5
"""Share of the steps of pre-training with cuts: the first 50,000 of 100,000."""

CUTS = 50
"""In them, one every 1,000 steps."""

TEACHER_SHARE = 0.5
TEMPERATURE = 2.0
"""Of pre-training."""


class PruneOnceForAll(Method):
    """Prune the encoder once, as a language model on unlabelled text, and fine-tune what is left.

    The student and its teacher are the pre-trained masked language model. While it goes on learning
    to name hidden pieces, half from the text and half from the teacher, its smallest weights are
    removed, matrix by matrix. The learning rate is rewound at each cut, and falls after the last.
    Then the mask is locked, and every task is fine-tuned under it with a teacher of its own.

    There are as many steps as `general_epochs` make, where the authors make 100,000 of 256 rows.
    Beside that:

    - the teacher is not trained on the text first. A head that the checkpoint lacks is fitted;
    - the teacher is heard on hidden pieces alone, where the head costs a seventh, not on all;
    - no sentence is foretold from another, and the pooler stays dense, as for every method here;
    - what is removed stays removed. In the authors' code it may come back until 30,000 steps after
      the cubic has ended, where another weight of its matrix has become smaller.
    """

    info = MethodInfo(
        name="prune-ofa",
        summary="prune once as a language model on unlabelled text, fine-tune under that mask",
        kind="unstructured",
        removes="single weights of the six matrices of each layer",
        starts_from="pretrained",
        teacher="finetuned",
        paper="arXiv:2111.05754",
    )

    @dataclass(frozen=True, kw_only=True)
    class Params(TaughtParams):
        """How long the encoder is pruned, which no tuning moves, and how a task is taught."""

        general_epochs: int = knob(
            1, low=1, high=100, tuned=False, help="passes over the unlabelled text while pruning"
        )
        teacher: Literal["none", "finetuned"] = knob(
            "finetuned", choices=("none", "finetuned"), tuned=False, help="who gives soft labels"
        )
        teacher_share: float = knob(
            1.0, low=0.0, high=1.0, help="weight of the teacher in the task's loss"
        )
        temperature: float = knob(
            2.0, low=0.5, high=10.0, tuned=False, help="of the task's soft labels"
        )

    def compress(self, run: Run, params: Params) -> PreTrainedModel:
        """Prunes once for all tasks and seeds, then trains under that mask."""
        model = run.pretrained()
        density, epochs = run.target.density(model), params.general_epochs
        sparse = run.shared(
            {"density": density, "epochs": epochs},
            lambda alone: sparse_pretraining(alone, density, epochs),
        )
        model.base_model.load_state_dict(model.base_model.state_dict() | sparse)
        locked = bench.MaskedTraining(bench.Masks.of_zeros(model))
        loss = bench.loss_for(
            run, params, share=params.teacher_share, temperature=params.temperature
        )
        run.train(model, loss=loss, params=params, callbacks=[locked])
        return model


def sparse_pretraining(run: Run, density: float, epochs: int) -> dict[str, Tensor]:
    """The encoder's tensors when it has been pruned as a language model.

    Args:
        run: What cells share.
        density: Share of the prunable weights to keep.
        epochs: Passes over the unlabelled text.
    """
    student = run.language_model()
    schedule = bench.CubicSchedule(end=PRUNING, events=CUTS)
    pruner = bench.GradualPruner(student.encoder, density=density, schedule=schedule)
    run.train_general(
        student.encoder,
        loss=pretraining_loss(run, student),
        callbacks=[student, pruner, bench.Rewinding(schedule)],
        epochs=epochs,
    )
    return dict(pruner.finish().state_dict())


def pretraining_loss(run: Run, student: bench.LanguageModel) -> bench.Loss:
    """Hidden pieces are to be named as they are, and as the dense language model names them."""
    import torch

    teacher, draw = run.language_teacher(), torch.Generator().manual_seed(run.seed)

    def loss(_: PreTrainedModel, batch: bench.Batch) -> Tensor:
        question = student.ask(batch, draw)
        own, wanted = student.answer(question), teacher.answer(question)
        return bench.distilled_loss(
            own, wanted, question.pieces, share=TEACHER_SHARE, temperature=TEMPERATURE
        )

    return loss
