"""A task in a few lines: does a remark name an even number of animals."""

from __future__ import annotations

import random

from bench import Source, Splits, Task, TaskInfo


class Parity(Task):
    """One or two animals, in a sentence of the embedded demo's kind of length."""

    info = TaskInfo(
        name="parity",
        summary="does the sentence name an even number of animals",
        labels=("odd", "even"),
        metric="accuracy",
    )

    def load(self, source: Source) -> Splits:
        """Draws the rows from a seed; there is nothing to read."""
        from datasets import Dataset

        generator = random.Random(7)
        rows = []
        for number in range(160):
            animals = generator.choices(("cat", "dog", "horse"), k=1 + number % 2)
            rows.append(
                {"id": str(number), "text": f"{number} : " + " and ".join(animals),
                 "label": 1 - len(animals) % 2}
            )  # fmt: skip
        return Splits(
            train=Dataset.from_list(rows[:120]),
            dev=Dataset.from_list(rows[120:]),
            provenance={"source": "drawn by the example plugin"},
        )
