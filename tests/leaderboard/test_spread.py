"""A page's first figure: every seed is in it, and what it shows is what the records say."""

from __future__ import annotations

import re
import statistics
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from example_page import FOLDER, record, suite

from bench.leaderboard import seed_plots
from bench.leaderboard.page import make_page
from bench.leaderboard.ranking import Standings, standings
from bench.leaderboard.spread import forest, seed_averages, tradeoff

if TYPE_CHECKING:
    from bench.results.record import Record

SCORES = {
    ("dense", 1.0): {"cola": [50.0, 52.0, 51.0], "mrpc": [80.0, 82.0, 84.0]},
    ("majority", 1.0): {"cola": [0.0] * 3, "mrpc": [68.0] * 3},
    ("int8", 1.0): {"cola": [49.0, 52.0, 50.0], "mrpc": [80.0, 81.0, 84.0]},
    ("magnitude", 4.0): {"cola": [40.0, 2.0, 44.0], "mrpc": [70.0, 71.0, 72.5]},
    ("movement", 4.0): {"cola": [41.0, 43.0], "mrpc": [70.0, 71.0, 75.0]},
}
HARDER = {("magnitude", 20.0): {"cola": [30.0, 31.0, 32.0], "mrpc": [69.0, 70.0, 71.0]}}
KINDS = {"dense": "reference", "majority": "reference", "int8": "reference"}


def made(*scores: dict[tuple[str, float], dict[str, list[float]]], **known: Any) -> list[Record]:
    return [
        replace(
            record(method, task, ratio, seed, score, **known),
            method={"kind": KINDS.get(method, "unstructured"), "control": method in KINDS,
                    "starts_from": "pretrained", "teacher": "none"},
            footprint={axis: {"dense": 8e6, "actual": 8e6 / ratio, "ratio": ratio}
                       for axis in ("weights", "params", "flops", "bytes")},
        )
        for part in scores
        for (method, ratio), tasks in part.items()
        for task, values in tasks.items()
        for seed, score in enumerate(values)
    ]  # fmt: skip


def result(found: list[Record], ratio: float) -> Standings:
    chosen, references = ([r for r in found if r.cell["ratio"] == at] for at in (ratio, 1.0))
    return standings(chosen, references, ["cola", "mrpc"], lambda _: None)


def dots(svg: str) -> dict[str, int]:
    """How many marks each group of seeds has."""
    groups = re.findall(r'<g id="(seeds-[0-9]+-[0-9]+)">(.*?)</g>\n   </g>', svg, re.S)
    return {name: body.count("<use ") for name, body in groups}


def test_a_seeds_average_needs_every_task() -> None:
    found = result(made(SCORES), 4.0)
    rows = {row.method: row for row in found.rows}
    both = ["cola", "mrpc"]
    assert seed_averages(rows["magnitude"], both) == [55.0, 36.5, 58.25]
    assert seed_averages(rows["movement"], both) == [55.5, 57.0]  # seed 2 has no CoLA
    assert seed_averages(rows["movement"], ["mrpc"]) == [70.0, 71.0, 75.0]


def test_the_forest_has_every_seed_in_the_order_of_the_table() -> None:
    found = result(made(SCORES), 4.0)
    panels = forest(found)
    assert list(panels) == ["average", "cola", "mrpc"]
    for panel in panels.values():
        assert list(panel) == [row.method for row in found.rows]
        assert all(spread.half_width is None for spread in panel.values())  # no predictions
    for (method, _), tasks in SCORES.items():
        for task, scores in tasks.items():
            assert list(panels[task][method].seeds) == scores
            assert panels[task][method].mean == pytest.approx(statistics.fmean(scores))
    assert panels["average"]["magnitude"].mean == pytest.approx((86 / 3 + 213.5 / 3) / 2)


def test_one_ratio_is_a_forest_with_a_dot_for_every_seed() -> None:
    records = made(SCORES)
    page = make_page(suite(records), records, FOLDER)
    svg = page.files[FOLDER / "example.svg"]
    # Per panel: competitors (two methods), then controls (three).
    assert list(dots(svg).values()) == [3 + 2, 3 * 3, 3 + 2, 3 * 3, 3 + 3, 3 * 3]
    for name in ("magnitude", "int8", "average", "cola", "mrpc"):
        assert f">{name}<" in svg
    assert svg.count(">dense<") == svg.count(">majority<") == 2  # a line, and what the line is
    assert svg == make_page(suite(records), records[::-1], FOLDER).files[FOLDER / "example.svg"]
    assert "Every seed is a dot" in page.markdown


def test_several_ratios_are_curves_over_what_a_model_costs() -> None:
    records = made(SCORES, HARDER)
    standing = {ratio: result(records, ratio) for ratio in (4.0, 20.0)}
    curves, levels = tradeoff(standing, 128)
    assert levels == {"dense": pytest.approx(66.5), "majority": 34.0}
    assert set(curves) == {"dense", "int8", "magnitude", "movement"}
    first, second = curves["magnitude"]
    gflops = "GFLOPs, S = 128"
    assert first.costs == {"MB": 2.0, gflops: pytest.approx(0.002)}
    assert second.costs == {"MB": 0.4, gflops: pytest.approx(0.0004)}
    assert list(second.seeds) == [49.5, 50.5, 51.5]
    (alone,) = curves["dense"]
    assert alone.costs["MB"] == 8.0
    page = make_page(suite(records), records, FOLDER)
    svg = page.files[FOLDER / "example.svg"]
    assert sum(dots(svg).values()) == 2 * (3 + 3 + 2 * 3 + 2)  # two panels
    assert ">MB<" in svg and f">{gflops}<" in svg and ">milliseconds<" not in svg
    assert svg == make_page(suite(records), records[::-1], FOLDER).files[FOLDER / "example.svg"]


def test_milliseconds_are_a_panel_where_they_were_measured() -> None:
    timing = {"model": "given", "engine": "torch", "batch": 1, "seq_len": 128, "gain": 2.0,
              "median_ms": 3.0, "agrees": True}  # fmt: skip
    machine = {"engines": {"torch": "torch 2"}, "threads": 1, "processor": "a processor",
               "vector_extensions": ["avx2"]}  # fmt: skip
    records = made(SCORES, HARDER, latency={"rows": [timing], **machine})
    curves, _ = tradeoff({ratio: result(records, ratio) for ratio in (4.0, 20.0)}, 128)
    assert {p.costs["milliseconds"] for points in curves.values() for p in points} == {3.0}
    svg = make_page(suite(records), records, FOLDER).files[FOLDER / "example.svg"]
    assert ">milliseconds<" in svg


def test_without_compression_there_is_no_first_figure() -> None:
    records = [one for one in made(SCORES) if one.cell["ratio"] == 1]
    assert FOLDER / "example.svg" not in make_page(suite(records), records, FOLDER).files


def test_names_are_no_markup() -> None:
    odd = "a$b$<i>&_c"
    spread = seed_plots.Spread([1.0, 2.0], 1.5, 1.0)
    point = seed_plots.Point({"MB": 3.0}, 1.0, [1.0])
    other = seed_plots.Point({"MB": 3.2}, 1.0, [1.0])
    for svg in (
        seed_plots.forest_svg({odd: {odd: spread}}, [odd], []),
        seed_plots.tradeoff_svg({odd: [point, other]}, {}),
    ):
        assert ">a$b$&lt;i&gt;&amp;_c<" in svg
        assert "<i>" not in svg


@pytest.mark.parametrize("costs", [(3.1, 3.3), (0.02, 5000.0), (1.0, 1.0), (0.45, 9.0)])
def test_an_axis_has_ticks_whatever_its_range(costs: tuple[float, float]) -> None:
    points = [seed_plots.Point({"MB": cost}, 50.0, [49.0, 51.0]) for cost in costs]
    svg = seed_plots.tradeoff_svg({"magnitude": points}, {})
    axis = svg.split('id="matplotlib.axis_1"')[1].split('id="matplotlib.axis_2"')[0]
    shown = [float(text) for text in re.findall(r">([0-9.e+]+)</text>", axis)]
    assert 1 <= len(shown) <= 8
    assert all(min(costs) / 1.31 <= tick <= max(costs) * 1.31 for tick in shown)
