"""Of two starts, nothing that is made once a run folder is mistaken for that of the other."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from bench.data.corpus import Corpus

if TYPE_CHECKING:
    from pathlib import Path

    from bench.data.prepare import Prepared
    from bench.runs.cells.context import Context

TASK, METHOD = "demo-sentiment", "minilm 1"


def test_rows_that_were_learnt_first_name_the_start(
    context: Context, prepared: Prepared, tmp_path: Path
) -> None:
    fewer = dataclasses.replace(prepared, folder=tmp_path / f"{TASK}-fewer")
    protocol = dataclasses.replace(context.protocol, intermediate=TASK)
    text = Corpus(path=tmp_path / "text.parquet", hash="0" * 16, name="text", rows=9)
    none = dataclasses.replace(context, corpus=text)
    one, other = (
        dataclasses.replace(none, protocol=protocol, intermediates={TASK: rows})
        for rows in (prepared, fewer)
    )
    assert none.start_hash == none.weights
    for name in (
        lambda where: where.text_identity(METHOD, TASK, trial=False)["weights"],
        lambda where: where.reference_identity(TASK, trial=False)["weights"],
    ):
        assert len({name(where) for where in (none, one, other)}) == 3
    # A pin to fewer rows of the task's own starts from the same encoder, and shares what is made.
    pinned = one.under({"max_train_samples": "80"})
    assert pinned.text_identity(
        "minilm:max_train_samples=80 1", TASK, trial=False
    ) == one.text_identity(METHOD, TASK, trial=False)
