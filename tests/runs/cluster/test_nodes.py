"""Which nodes of a cluster are used; Ray is a stub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_ray import FakeRay, NodeDiedError, OutOfMemoryError, Ref, put_in_place

from bench.errors import BenchError
from bench.runs.cluster import node as remote
from bench.runs.cluster.nodes import CellSize, Nodes


@pytest.fixture
def ray() -> FakeRay:
    return FakeRay()


@pytest.fixture
def heard() -> list[str]:
    return []


@pytest.fixture
def nodes(ray: FakeRay, heard: list[str], tmp_path: Path, monkeypatch) -> Nodes:
    monkeypatch.setattr("bench.runs.cluster.nodes.WATCH_S", 0.0)
    return Nodes(put_in_place(monkeypatch, ray, tmp_path), CellSize(1), heard.append)


def usable(nodes: Nodes) -> set[str]:
    return {node.id for node in nodes if node.state == "used"}


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"bench": "0.0.9"}, "bench 0.0.9"),
        ({"python": "3.10.1"}, "Python 3.10.1"),
        ({"sources": "0" * 12}, "sources 000000000000"),
        ({"error": "it has no bench, Python 3.9.0 (No module named 'bench')"}, "no bench"),
    ],
)
def test_a_node_with_another_bench_or_python_is_refused_and_both_are_named(
    nodes: Nodes, ray: FakeRay, said: dict[str, Any], named: str
) -> None:
    own = remote.facts()
    ray.answers["b"] = Ref(said if "error" in said else {**own, **said})
    with pytest.raises(BenchError) as refused:
        nodes.meet()
    for part in ("node host-b (b)", named, f"bench {own['bench']} (sources {own['sources']})"):
        assert part in str(refused.value)


@pytest.mark.parametrize("death", [OutOfMemoryError("Task was killed\nby"), NodeDiedError("gone")])
def test_one_that_dies_before_it_has_said_what_it_is_is_left_out_alone(
    nodes: Nodes, ray: FakeRay, heard: list[str], death: Exception
) -> None:
    """It was once taken for one with another version, and the whole run was refused."""
    ray.answers["b"] = Ref(error=death)
    nodes.meet()
    assert usable(nodes) == {"a"}
    assert len(heard) == 1 and heard[0].startswith("node host-b (b) does not say what it is: it")


def test_where_none_says_what_it_is_nothing_runs(nodes: Nodes, ray: FakeRay) -> None:
    ray.answers |= {name: Ref(error=OutOfMemoryError()) for name in "ab"}
    with pytest.raises(BenchError, match="no node of the cluster answers"):
        nodes.meet()


def test_one_that_comes_later_is_refused_alone(nodes, ray, heard) -> None:
    nodes.meet()
    ray.answers["c"] = Ref({**remote.facts(), "bench": "0.0.9"})
    ray.cores |= {"c": 4, "d": 4}
    nodes.watch()
    nodes.watch()  # hears what they say of themselves
    assert usable(nodes) == {"a", "b", "d"}
    assert len(heard) == 1
    assert "host-c (c) has bench 0.0.9" in heard[0]


def test_other_packages_are_said_and_used(nodes, ray, heard) -> None:
    own = remote.facts()
    ray.answers["b"] = Ref({**own, "packages": {**own["packages"], "torch": "1.0"}})
    nodes.meet()
    assert usable(nodes) == {"a", "b"}
    assert f"torch 1.0, not {own['packages']['torch']}" in heard[0]


def test_a_request_that_no_node_can_meet_is_refused_before_anything_runs(
    ray, tmp_path, monkeypatch
) -> None:
    nodes = Nodes(put_in_place(monkeypatch, ray, tmp_path), CellSize(4), pytest.fail)
    with pytest.raises(BenchError, match=r"takes 4 cores .* host-a has 1, host-b has 1"):
        nodes.meet()


def test_a_node_that_loses_three_cells_in_a_row_is_used_no_more(nodes, heard) -> None:
    nodes.meet()
    first = next(iter(nodes))
    for _ in range(3):
        nodes.lose(first)
    assert usable(nodes) == {"b"}
    assert heard == ["node host-a (a) has lost 3 cells one after the other: it is used no more."]


def test_a_block_stays_on_one_kind_of_processor_while_there_is_one(nodes, ray) -> None:
    own = remote.facts()
    ray.cores |= {"c": 1}
    ray.answers["c"] = Ref({**own, "processor": "another"})
    nodes.meet()
    block, kind = ("t", 0), own["processor"]
    a, b, c = nodes
    assert nodes.choose(block, "another", ()) is c
    c.busy = 1
    assert nodes.choose(block, "another", ()) is None  # waits for it
    c.state = "lost"
    assert nodes.choose(block, "another", ()) is a
    assert nodes.choose(block, kind, ["a"]) is b  # which has not lost it
    b.blocks.add(block)
    assert nodes.choose(block, kind, ()) is b  # which has its files
    b.busy = 1
    assert nodes.choose(block, kind, ["a"]) is None


@pytest.mark.parametrize("per_gpu", [1, 2, 3, 7, 64])
def test_as_many_cells_share_a_gpu_as_are_asked_for(per_gpu: int) -> None:
    size = CellSize(2, per_gpu)
    assert per_gpu * size.gpu_share <= 1 < (per_gpu + 1) * size.gpu_share * 1.01
    assert size.fit({"CPU": 1000.0, "GPU": 4.0}) == 4 * per_gpu
    assert size.fit({"CPU": 3.0, "GPU": 4.0}) == 1
    assert size.fit({"CPU": 1000.0}) == 0
    assert CellSize(2).fit({"CPU": 5.0}) == 2
    assert CellSize(2).gpu_share == 0


def test_a_task_and_seed_stay_on_one_kind_of_gpu(ray, heard, tmp_path, monkeypatch) -> None:
    ray.cores = {"a": 8, "b": 8, "c": 8}
    ray.gpus = {
        "a": {"GPU": 1.0, "accelerator_type:A100": 1.0},
        "b": {"GPU": 1.0, "accelerator_type:H200": 1.0},
        "c": {"GPU": 1.0, "accelerator_type:H200": 1.0},
    }
    nodes = Nodes(put_in_place(monkeypatch, ray, tmp_path), CellSize(1, 2), heard.append)
    nodes.meet()
    assert {node.id: (node.processor, node.slots) for node in nodes} == {
        "a": ("A100", 2), "b": ("H200", 2), "c": ("H200", 2),
    }  # fmt: skip
    chosen = []
    for _ in range(4):
        node = nodes.choose(("t", 0), "H200", ())
        assert node is not None
        node.busy += 1
        chosen.append(node.id)
    assert sorted(chosen) == ["b", "b", "c", "c"]
    assert nodes.choose(("t", 0), "H200", ()) is None  # rather than on the other kind
    other = nodes.choose(("t", 1), None, ())
    assert other is not None
    assert other.id == "a"
