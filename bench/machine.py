"""The machine that a cell runs on: precision, memory, and what the record says of it."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.protocol import Precision


PACKAGES = (
    "prunebench",
    "torch",
    "transformers",
    "datasets",
    "evaluate",
    "accelerate",
    "tokenizers",
    "numpy",
    "scikit-learn",
    "scipy",
    "optuna",
)
POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables by which a library is told how many threads it has when it is loaded."""

GPU_ROOM = 0.9
"""Of a GPU's memory, what workers that share it may use: CUDA's own state in each needs some."""

GIT_TIMEOUT_S = 60
"""A loaded machine took more than 10 s, and its records said that no checkout ran."""

VECTOR_EXTENSIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve")


def multiplies_in_bf16(device: str) -> bool:
    """Whether the hardware multiplies in bf16; emulating it costs a factor of six."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(
        torch.ops.mkldnn._is_mkldnn_bf16_supported() and torch.cpu._is_avx512_bf16_supported()
    )


def resolve_precision(wanted: str, device: str) -> Precision:
    """`auto` becomes `bf16` where the hardware multiplies in it, `fp32` elsewhere."""
    if wanted == "auto":
        return "bf16" if multiplies_in_bf16(device) else "fp32"
    return "bf16" if wanted == "bf16" else "fp32"


def resolve_device(wanted: str) -> str:
    """`auto` becomes `cuda` where there is a GPU, `cpu` elsewhere.

    Raises:
        BenchError: A GPU is asked for and torch finds none.
    """
    found = torch.cuda.is_available()
    if wanted == "cuda" and not found:
        raise BenchError(
            f"--device cuda: torch {torch.__version__} finds no GPU; 'bench doctor' tells more."
        )
    return wanted if wanted != "auto" else "cuda" if found else "cpu"


def usable_cores() -> int:
    """Cores that this process may run on."""
    bound = getattr(os, "sched_getaffinity", None)  # not every system binds processes to cores
    return len(bound(0)) if bound else os.cpu_count() or 1


def default_workers(device: str, per_gpu: int | None = None) -> int:
    """One worker a core, at most four; or as many a GPU as are asked for, or one.

    Small models gain more from a core each than from several threads; large ones need the memory.

    Raises:
        BenchError: Workers a GPU are asked for where none is used.
    """
    if device == "cuda":
        return max(1, len(visible_gpus())) * (per_gpu or 1)
    if per_gpu is not None:
        raise BenchError("--workers-per-gpu: this run computes on the processor; see --device.")
    return min(4, usable_cores())


def bound_gpu_memory(workers: int) -> None:
    """Bounds this process to its share of a GPU's memory, where several workers have the same.

    A cell that wants more fails, and not those beside it.
    """
    if workers > 1:
        torch.cuda.set_per_process_memory_fraction(GPU_ROOM / workers)


def gpu_kinds() -> list[str]:
    """What each of the GPUs is that this process may use, in the order of `visible_gpus`."""
    return [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them."""
    count = torch.cuda.device_count()
    said = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    named = [name.strip() for name in said.split(",") if name.strip()]
    return named[:count] if named else [str(number) for number in range(count)]


@contextlib.contextmanager
def limited_threads(count: int) -> Iterator[None]:
    """Gives every library of this process so many threads; other numbers sum in another order.

    torch and what NumPy, SciPy and scikit-learn call have pools of their own.
    """
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    with threadpool_limits(limits=count):
        torch.set_num_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(before)


@functools.cache
def describe(device: str) -> dict[str, Any]:
    """Versions and hardware, for the record."""
    return {
        "python": platform.python_version(),
        "packages": package_versions(),
        "platform": platform.platform(),
        "processor": processor(),
        "vector_extensions": vector_extensions(),
        "cores": os.cpu_count(),
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "git": git_commit(),
    }


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that results depend on."""
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def vector_extensions() -> list[str]:
    """Those of the processor's vector extensions that matter to matrix products."""
    flags = _cpuinfo("flags") or _cpuinfo("Features")
    return [name for name in VECTOR_EXTENSIONS if name in flags.split()]


@functools.cache
def git_commit() -> str | None:
    """Commit of the checkout that runs, `+` appended where it was changed; `None` outside one.

    It is read once a process, which runs what it has loaded, whatever the folder becomes.
    """
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *words: str) -> str:
    command = ["git", "-C", str(root), *words]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=GIT_TIMEOUT_S
    )
    return done.stdout.strip()


def processor() -> str:
    """The processor's name, as its maker has it."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


@functools.cache
def _cpuinfo(key: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def reset_peak_memory(device: str) -> None:
    """Starts a new measurement of peak memory, where the system can."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return
    with contextlib.suppress(OSError):  # only Linux can, and not in every container
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory_mb(device: str) -> float:
    """Peak memory since `reset_peak_memory`, in MB: of the GPU, or of the process."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
