"""What runs a classifier on the processor: torch, ONNX Runtime, OpenVINO, and two sparse engines.

Each is made of one model for one shape of input, and then answers with logits.
"""

from __future__ import annotations

import copy
import functools
import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from bench.errors import BenchError, unknown_name
from bench.machine import multiplies_in_bf16
from bench.models.heads import logits_of

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

Answer = Callable[[dict[str, "Tensor"]], "Tensor"]
"""From inputs, each `[rows, pieces]`, to logits as `bench.models.heads.logits_of` gives them."""

Precision = Literal["fp32", "bf16", "int8"]

TOLERANCES: dict[Precision, tuple[float, float]] = {
    "fp32": (1e-3, 0.1),
    "bf16": (5e-2, 0.1),
    "int8": (1e-1, 1.0),  # which moves a probability by 2.5 points at most
}
"""How far a logit may be from plain torch's in fp32, as a share of the largest, and the least that
counts as largest."""


@dataclass(frozen=True)
class Subject:
    """A model to be run, and where it lies as a graph.

    Attributes:
        model: The classifier, in fp32 and eval mode.
        folder: Where the graph may be written.
    """

    model: PreTrainedModel
    folder: Path

    @functools.cached_property
    def graph(self) -> Path:
        """Its ONNX file, written when it is first asked for."""
        from bench.deploy.export import write_onnx

        path = self.folder / "model.onnx"
        write_onnx(self.model, path)
        return path

    @functools.cached_property
    def int8_graph(self) -> Path:
        """The same with int8 matrices, written when it is first asked for."""
        from bench.deploy.export import write_int8

        path = self.folder / "model.int8.onnx"
        write_int8(self.graph, path)
        return path


@dataclass(frozen=True)
class Load:
    """What an engine is made for: so many rows of so many pieces, on so many threads."""

    rows: int
    pieces: int
    threads: int


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A way of running a model.

    Attributes:
        name: As the command line calls it.
        make: From a model and a load to what answers.
        package: The package that computes.
        needs: Packages of the optional extra that it needs.
        precision: What it multiplies in: `fp32`, `bf16` or `int8`.
    """

    name: str
    make: Callable[[Subject, Load], Answer]
    package: str
    needs: tuple[str, ...] = ()
    precision: Precision = "fp32"

    def allowance(self, largest: float) -> float:
        """How far its logits may be from plain torch's, of which this is the largest."""
        share, least = TOLERANCES[self.precision]
        return share * max(least, largest)

    @property
    def version(self) -> str:
        """The package that computes, with its version, whatever it was installed as."""
        return f"{self.package} {importlib.import_module(self.package).__version__}"

    def objection(self) -> str:
        """Why it cannot run here, in words, or nothing."""
        missing = [name for name in self.needs if importlib.util.find_spec(name) is None]
        if missing:
            return f"{', '.join(missing)} not installed: pip install 'prunebench[engines]'"
        if self.precision == "bf16" and not multiplies_in_bf16("cpu"):
            return "this processor only emulates bf16"
        return ""


def find_engines(names: Sequence[str] = ()) -> tuple[list[Engine], list[str]]:
    """The engines of these names, or all that can run here, and a line for each that cannot.

    Raises:
        BenchError: A name is unknown, or an engine that was asked for cannot run here.
    """
    for name in names:
        if name not in ENGINES:
            raise unknown_name("engine", name, ENGINES)
        if objection := ENGINES[name].objection():
            raise BenchError(f"the engine {name} cannot run: {objection}.")
    if names:
        return [ENGINES[name] for name in dict.fromkeys(names)], []
    objections = {name: engine.objection() for name, engine in ENGINES.items()}
    able = [ENGINES[name] for name, objection in objections.items() if not objection]
    return able, [f"without {name}: {why}." for name, why in objections.items() if why]


def _torch(subject: Subject, load: Load) -> Answer:
    return _answer_of(subject.model)


def _torch_bf16(subject: Subject, load: Load) -> Answer:
    return _answer_of(copy.deepcopy(subject.model).bfloat16())


def _torch_csr(subject: Subject, load: Load) -> Answer:
    from bench.deploy.csr import csr_model

    return _answer_of(csr_model(subject.model))


def _answer_of(model: PreTrainedModel) -> Answer:
    return lambda inputs: logits_of(model(**inputs)).float()


def _sparse(subject: Subject, load: Load) -> Answer:
    from bench.deploy.sparse_engine import SparseEncoder

    return SparseEncoder(
        subject.model, batch=load.rows, sequence_length=load.pieces, threads=load.threads
    )


def _onnxruntime(subject: Subject, load: Load) -> Answer:
    return answers_of_graph(subject.graph, load.threads)


def _onnxruntime_int8(subject: Subject, load: Load) -> Answer:
    return answers_of_graph(subject.int8_graph, load.threads)


def answers_of_graph(graph: Path, threads: int) -> Answer:
    """What an ONNX file answers by ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Between runs its threads would spin on the cores that the next engine is measured on.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(graph, options, ["CPUExecutionProvider"])

    def answer(inputs: dict[str, Tensor]) -> Tensor:
        found = session.run(None, {name: value.numpy() for name, value in inputs.items()})
        return _joined([torch.from_numpy(logits) for logits in found])

    return answer


def _joined(outputs: Sequence[Tensor]) -> Tensor:
    """What a graph says, as `logits_of` has it: one output, or begins and ends of spans."""
    return outputs[0] if len(outputs) == 1 else torch.stack(list(outputs), dim=1)


def _openvino(precision: str, subject: Subject, load: Load) -> Answer:
    import openvino

    graph = openvino.Core().read_model(subject.graph)
    graph.reshape({port: [load.rows, load.pieces] for port in graph.inputs})
    compiled = openvino.compile_model(
        graph,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": precision,  # left alone, it takes bf16 where there is any
            "INFERENCE_NUM_THREADS": load.threads,
            "PERFORMANCE_HINT": "LATENCY",
        },
    )

    def answer(inputs: dict[str, Tensor]) -> Tensor:
        found = compiled({name: value.numpy() for name, value in inputs.items()})
        return _joined([torch.from_numpy(logits.copy()) for logits in found.values()])

    return answer


_GRAPH = ("onnx", "onnxscript")
ENGINES = {
    engine.name: engine
    for engine in (
        Engine(name="torch", make=_torch, package="torch"),
        Engine(name="torch-bf16", make=_torch_bf16, package="torch", precision="bf16"),
        Engine(name="onnxruntime", make=_onnxruntime, package="onnxruntime",
               needs=("onnxruntime", *_GRAPH)),
        Engine(name="onnxruntime-int8", make=_onnxruntime_int8, package="onnxruntime",
               needs=("onnxruntime", *_GRAPH), precision="int8"),
        Engine(name="openvino", make=functools.partial(_openvino, "f32"), package="openvino",
               needs=("openvino", *_GRAPH)),
        Engine(name="openvino-bf16", make=functools.partial(_openvino, "bf16"),
               package="openvino", needs=("openvino", *_GRAPH), precision="bf16"),
        Engine(name="torch-csr", make=_torch_csr, package="torch"),
        Engine(name="sparse", make=_sparse, package="numba", needs=("numba",)),
    )
}  # fmt: skip
"""By name; the dense ones first."""
