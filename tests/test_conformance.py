"""Every built-in method keeps the contract."""

from __future__ import annotations

from typing import ClassVar

import pytest

from bench import registry
from bench.registry import OWN_DISTRIBUTION
from bench.testing import MethodConformance


class TestMagnitude(MethodConformance):
    name = "magnitude"


class TestMagnitudeGlobal(MethodConformance):
    name = "magnitude"
    params: ClassVar = {"scope": "global", "final_phase": 0.0, "init": "finetuned"}


class TestMovement(MethodConformance):
    name = "movement"


class TestMovementGlobal(MethodConformance):
    name = "movement"
    params: ClassVar = {"scope": "global", "teacher": "none", "final_phase": 0.0}


class TestSoftMovement(MethodConformance):
    name = "soft-movement"


class TestOneShotMagnitude(MethodConformance):
    name = "one-shot-magnitude"
    params: ClassVar = {"scope": "global", "teacher": "finetuned"}


class TestOneShotWanda(MethodConformance):
    name = "one-shot-wanda"


class TestKnowledgeAware(MethodConformance):
    name = "knowledge-aware"
    ratio = 20.0


class TestKnowledgeAwareVariant(MethodConformance):
    name = "knowledge-aware"
    params: ClassVar = {"init": "finetuned", "teacher": "none"}


class TestRandomMask(MethodConformance):
    name = "random-mask"
    ratio = 20.0


class TestMagnitudeTaught(MethodConformance):
    name = "magnitude"
    params: ClassVar = {"teacher": "finetuned"}


class TestRandomMaskTaught(MethodConformance):
    name = "random-mask"
    params: ClassVar = {"teacher": "finetuned"}


class TestDense(MethodConformance):
    name = "dense"


class TestMajority(MethodConformance):
    name = "majority"


@pytest.mark.skipif(
    "first-heads" not in registry.methods.names(), reason="tests/plugin is not installed"
)
class TestPlugin(MethodConformance):
    name = "first-heads"


def test_every_built_in_is_tested_here() -> None:
    own = [n for n in registry.methods.names()
           if registry.methods.distribution(n).startswith(OWN_DISTRIBUTION)]  # fmt: skip
    tested = {cls.name for cls in MethodConformance.__subclasses__() if cls.__module__ == __name__}
    assert tested >= set(own)
    with pytest.raises(AttributeError):
        MethodConformance.name  # noqa: B018 - the suite itself has no method
