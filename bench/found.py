"""The Python door to what was found: records as a data frame, methods compared, a model counted.

Everything is imported when it is first needed, so that `import bench` stays quick.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError

if TYPE_CHECKING:
    import pandas

    from bench.leaderboard.comparison import Comparison
    from bench.models.footprint import Footprint


def load_results(
    *folders: str | Path, name: str | None = None, status: str | None = None
) -> pandas.DataFrame:
    """The records of run folders or of folders of pages, a row a cell.

    Args:
        folders: Run folders, or folders of published pages; `runs` where none is named.
        name: The suite; all of a folder where none is named.
        status: Only cells that ended so, such as `ok`.

    Returns:
        A row a cell and suite. Columns: suite, method, task, axis, ratio, seed, model, status,
        score and each of the task's figures (`score_pearson`), achieved ratios
        (`weights_ratio`, `bytes_ratio`, `params_ratio`, `flops_ratio`, `flops_task_ratio`), `bytes`
        of its file with 16-bit values, `parameter_count`, `ms` on the fastest `engine` and
        `ms_ratio` (dense on its own ÷ this) as far as it was timed, optimizer `steps`,
        `train_flops`, `train_s`, `wall_s`, the method's parameters (`params`, a dictionary), how
        they were found (`parameters`), `error`, `id` and `created`.

    Raises:
        BenchError: A folder has no suite, or none of the name.
    """
    import pandas

    from bench import arguments as said
    from bench.results.frame import rows_of_folder

    paths = [said.path("a folder", folder) or Path("runs") for folder in folders or ["runs"]]
    wanted = said.text("name", name)
    rows = [row for path in paths for row in rows_of_folder(path, wanted)]
    frame = pandas.DataFrame(row for row in rows if status in (None, row["status"]))
    return frame if len(frame) else pandas.DataFrame(columns=["suite", "method", "task", "status"])


def compare(
    one: str,
    other: str,
    *,
    runs: str | Path = "runs",
    task: str | None = None,
    ratio: float | None = None,
    name: str | None = None,
) -> Comparison:
    """Tests two methods against each other, as `bench compare` does.

    Args:
        one: A method, as the page names it.
        other: Another, or a control.
        runs: A run folder, or a folder of pages.
        task: The task; the average that the page ranks by where none is named.
        ratio: Needed where the suite has several.
        name: The suite, where there are several.

    Raises:
        BenchError: There is no such suite, method, task or ratio.
    """
    from bench import arguments as said
    from bench.leaderboard.comparison import compare_methods
    from bench.results.suites import open_suite

    folder = said.path("runs", runs) or Path("runs")
    opened = open_suite(folder, said.text("name", name))
    first, second = (said.text("a method", wanted) or "" for wanted in (one, other))
    return compare_methods(
        opened, first, second, said.text("task", task), said.number("ratio", ratio)
    )


def footprint(
    model: str | Path, *, dense: str | Path | None = None, sequence_length: int | None = None
) -> Footprint:
    """Counts a saved model with the counter that fills the leaderboards.

    Args:
        model: Folder or hub name of a saved model; a sparse export, too.
        dense: The uncompressed model; the model's own shapes without zeros otherwise.
        sequence_length: Tokens of the one example that FLOPs are counted for; 128, or as many as
            the model takes.

    Returns:
        `weights`, `params`, `flops` and `bytes`, each with `dense`, `actual` and `ratio`.

    Raises:
        BenchError: A model cannot be read, or has fewer positions than the sequence length.
    """
    from bench import arguments as said
    from bench.deploy.counted import count_saved

    name, whole = said.text("model", model), said.text("dense", dense)
    if name is None:
        raise BenchError("footprint counts a saved model: name its folder.")
    return count_saved(name, whole, said.whole("sequence_length", sequence_length)).footprint
