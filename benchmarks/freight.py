"""How long a large file takes to a Ray node that shares no folder with the driver, and back.

    python benchmarks/freight.py [--megabytes 440]

A BERT-base takes 440 MB. Two nodes are started here, which do not see the file. Each is sent it
twice, as cells of a run are, and gives it back once. Every arrival is checked by its SHA-256.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ray_nodes import RayCluster

from bench.runs.cluster.connection import Connection
from bench.runs.cluster.freight import Arrival, Item, items_of, lay, parts_of
from bench.runs.cluster.node import in_use, sweep
from bench.runs.cluster.stock import Stock


def laid(items: Sequence[Item], parts: Sequence[Any]) -> int:
    """On a node: lays files; how many it lacks."""
    import ray

    with in_use("bench-freight", None) as folder:
        return len(lay(folder, items, lambda _: map(ray.get, parts) if parts else None))


def returned(item: Item) -> Iterator[Any]:
    """On a node: sends the file back."""
    with in_use("bench-freight", None) as folder:
        yield from parts_of(folder / item.path)


def main() -> None:
    """Prints a row a node."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=440)
    size = parser.parse_args().megabytes
    with tempfile.TemporaryDirectory(prefix="freight-") as name:
        sent, runs = Path(name) / "sent", Path(name) / "runs"
        sent.mkdir()
        with (sent / "model.safetensors").open("wb") as file:
            for _ in range(size):
                file.write(os.urandom(1_000_000))
        with RayCluster(hidden=[Path(name)]) as cluster:
            cluster.add()
            cluster.add()
            os.environ |= {k: v for k, v in cluster.environment.items() if "AUTH" in k}
            connection = Connection(cluster.address, 1, 0)
            try:
                measure(connection, sent, runs, size)
            finally:
                connection.close()


def measure(connection: Connection, sent: Path, runs: Path, size: int) -> None:
    """Sends the file to each node and back."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as Only

    ray = connection.ray
    (item,) = items_of(sent, "encoder")
    stock = Stock(ray)
    begin = time.perf_counter()
    stock.add([item])
    print(f"{size} MB into the object store: {time.perf_counter() - begin:.1f} s\n")
    print("| node | first | again | back, checked |\n| --- | --- | --- | --- |")
    nodes = [node["NodeID"] for node in ray.nodes() if node["Resources"].get("CPU")]
    for node in nodes:
        there = Only(node, soft=False)
        put = ray.remote(max_retries=0)(laid).options(scheduling_strategy=there)
        assert ray.get(put.remote([item], [])) == 1, "the node sees the file"
        took = []
        for _ in range(2):
            begin = time.perf_counter()
            assert ray.get(put.remote([item], stock.of([item])[item.sha256])) == 0
            took.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        back = ray.remote(max_retries=0, num_returns="streaming")(returned)
        arrival = Arrival(runs, [item])
        for part in back.options(scheduling_strategy=there).remote(item):
            arrival.take(item.path, ray.get(part))
        arrival.check()
        arrival.close()
        print(f"| {node[:8]} | {took[0]:.1f} s | {took[1]:.1f} s | "
              f"{time.perf_counter() - begin:.1f} s |", flush=True)  # fmt: skip
        ray.get(ray.remote(sweep).options(scheduling_strategy=there).remote("bench-freight", None))
    shutil.rmtree(runs, ignore_errors=True)


if __name__ == "__main__":
    main()
