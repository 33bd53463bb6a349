"""Small dense models of the wanted size: TinyBERT-style, and without any distillation."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import bench
from bench import Method, MethodInfo, Run, TrainParams, knob

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PretrainedConfig, PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class SmallParams(TrainParams):
    """The architecture beside what the ratio says, and where it starts."""

    depth: int = knob(
        0,
        low=0,
        high=48,
        help="layers; 0: the whole number nearest two thirds of the encoder's, at least 2",
    )
    start: Literal["cut", "random"] = knob(
        "cut",
        choices=("cut", "random"),
        tuned=False,
        help="weights cut out of the pre-trained encoder, or drawn anew",
    )


class _Small(Method):
    """What both have in common: the depths that tuning tries."""

    @classmethod
    def search_space(cls, config: PretrainedConfig, target: bench.Target) -> dict[str, bench.Knob]:
        """Every depth at which the target is met, the default one first, then the nearest."""
        default = bench.default_depth(config)
        depths = sorted(range(1, config.num_hidden_layers + 1), key=lambda d: (abs(d - default), d))
        met = tuple(depth for depth in depths if _is_met(target, config, depth))
        declared = cls.Params.knobs()["depth"]
        depth = dataclasses.replace(declared, choices=met)
        return super().search_space(config, target) | {"depth": depth}


class SmallDense(_Small):
    """Cut a small dense model out of the pre-trained encoder and fine-tune it, without a teacher.

    It starts from the same weights as `tinybert`, so that the two differ by distillation alone.
    """

    info = MethodInfo(
        name="small-dense",
        summary="fine-tune a small dense model cut out of the pre-trained encoder",
        kind="small",
        removes="layers, width and neurons",
        starts_from="pretrained",
        control=True,
    )

    Params = SmallParams

    def compress(self, run: Run, params: SmallParams) -> PreTrainedModel:
        """Builds the student and trains it on the task's labels."""
        student, _ = _student(run, params)
        run.train(student, loss=bench.task_loss, params=params)
        return student


class TinyBERT(_Small):
    """Distil the encoder into a small dense one, in general and on the task.

    Stage 1, general distillation: the *pre-trained* encoder teaches on unlabelled text. Stage 2, on
    the task, the *fine-tuned* one: first what lies between input and output (embeddings, hidden
    states, attention scores) at a constant rate, then the prediction, at the same peak, where the
    authors' second is a fifth to three fifths of the first. Warm-up and decay are the second's.
    """

    info = MethodInfo(
        name="tinybert",
        summary="distil into a small dense model: general, intermediate layers, prediction",
        kind="small",
        removes="layers, width and neurons",
        starts_from="pretrained",
        teacher="finetuned",
        paper="arXiv:1909.10351",
        version=3,
        revised_after=("stsb", "demo-sentiment", "demo-paraphrase", "demo-similarity"),
        paper_steps=162_173,  # MRPC, augmented: 7,051 steps × (20 + 3) epochs
    )

    @dataclass(frozen=True, kw_only=True)
    class Params(SmallParams):
        """How the steps are shared out."""

        general_epochs: int = knob(
            1, low=0, high=20, tuned=False, help="passes of stage 1 over the unlabelled text"
        )
        intermediate_share: float = knob(
            0.5,
            low=0.1,
            high=0.95,
            help="share of the task's steps on the intermediate losses; the paper's 20 of 23 "
            "epochs go through rows that it augments",
        )

    def compress(self, run: Run, params: Params) -> PreTrainedModel:
        """Stage 1 (kept for all cells), then the two phases of stage 2."""
        student, projection = _student(run, params)
        if params.general_epochs:
            shape = str(bench.shape_of(student.config))
            key = {"shape": shape, "start": params.start, "epochs": params.general_epochs}
            if params.start == "random":  # drawn after a head, whose size is the task's
                key["labels"] = run.task.num_labels
            general = run.shared(key, lambda alone: _general_distillation(alone, params))
            projection.load({name: general.pop(name) for name in ("weight", "bias")})
            encoder = student.base_model
            encoder.load_state_dict({**encoder.state_dict(), **general})

        teacher = run.teacher()
        run.train(
            student,
            loss=_intermediate_loss(teacher, projection),
            params=dataclasses.replace(params, warmup=0.0, decay="constant"),
            callbacks=[projection],
            share=params.intermediate_share,
        )

        def prediction_loss(student: PreTrainedModel, batch: bench.Batch) -> Tensor:
            own = student(**batch.inputs).logits.float()
            if run.task.is_regression:
                return bench.label_loss(own, batch.labels)
            return bench.soft_cross_entropy(own, bench.answer(teacher, batch))

        run.train(
            student,
            loss=prediction_loss,
            params=params,
            share=1 - params.intermediate_share,
            augmented=not run.task.is_regression,  # whose gold figures are of the rows as they were
        )
        return student


def _is_met(target: bench.Target, config: PretrainedConfig, depth: int) -> bool:
    try:
        target.shape(config, depth)
    except bench.UnreachableError:
        return False
    return True


def _student(run: Run, params: SmallParams) -> tuple[PreTrainedModel, bench.Projection]:
    """The student, and the map from its hidden states to its teacher's."""
    encoder = run.pretrained()
    layers = encoder.config.num_hidden_layers
    if params.depth > layers:
        raise bench.BenchError(f"depth={params.depth}: the encoder has {layers} layers.")
    depth = params.depth or bench.default_depth(encoder.config)
    shape = run.target.shape(encoder.config, depth)
    run.log(f"architecture: {shape}")
    if params.start == "random":
        return bench.small_model(encoder, shape), bench.Projection.drawn(shape.width, encoder)
    student, basis = bench.shrink(encoder, shape)
    return student, bench.Projection(basis)


def _general_distillation(run: Run, params: TinyBERT.Params) -> dict[str, Tensor]:
    """Stage 1: the student's encoder, without the pooler that no loss saw, and the projection."""
    student, projection = _student(run, params)
    run.train_general(
        student,
        loss=_intermediate_loss(run.pretrained_teacher(), projection),
        callbacks=[projection],
        epochs=params.general_epochs,
    )
    state = student.base_model.state_dict() | projection.state()
    return {name: tensor for name, tensor in state.items() if not name.startswith("pooler.")}


def _intermediate_loss(teacher: PreTrainedModel, projection: bench.Projection) -> bench.Loss:
    """Embeddings and hidden states through the projection, and attention scores, layer by layer.

    Means are over real tokens and pairs. The released code's, over rows padded to 128 pieces, weigh
    the scores less, the more of a row is padding.
    """

    def loss(student: PreTrainedModel, batch: bench.Batch) -> Tensor:
        own, wanted = bench.look_inside(student, batch), bench.look_inside(teacher, batch)
        mask = batch.inputs["attention_mask"]
        places = bench.layer_map(len(own.scores), len(wanted.scores))
        hidden = [projection(state) for state in own.hidden]
        return bench.hidden_loss(
            hidden, [wanted.hidden[place] for place in places], mask
        ) + bench.score_loss(own.scores, [wanted.scores[place - 1] for place in places[1:]], mask)

    return loss
