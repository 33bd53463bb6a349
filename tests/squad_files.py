"""Small files in the official layout of SQuAD, whose questions can be learnt."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

WORDS = ["river", "stone", "cloud", "garden", "window", "letter", "paper", "morning", "evening",
         "winter", "summer", "copper", "silver"]  # fmt: skip
COLOURS = ["green", "heavy", "bright"]


def article(paragraphs: int, *, unanswerable: bool, seed: int, length: int = 3) -> dict:
    """Paragraphs of sentences such as "the green river ." and what is asked of them."""
    generator = np.random.default_rng(seed)
    made = []
    for number in range(paragraphs):
        things = generator.permutation(WORDS)[: length + 1].tolist()
        colours = generator.choice(COLOURS, length).tolist()
        parts = [f"the {colour} {thing}." for colour, thing in zip(colours, things, strict=False)]
        context = " ".join(parts)
        asked = []
        for place, (colour, thing) in enumerate(zip(colours, things, strict=False)):
            begin = len(" ".join([*parts[:place], ""])) + len("the ")
            answers = [{"text": colour, "answer_start": begin}]
            question = f"which {thing} {seed}-{number}"
            asked.append({"id": f"{seed}-{number}-{place}", "question": question,
                          "answers": answers})  # fmt: skip
        if unanswerable:
            for one in asked:
                one["is_impossible"] = False
            asked.append({"id": f"{seed}-{number}-none", "question": f"which {things[-1]} {number}",
                          "answers": [], "is_impossible": True,
                          "plausible_answers": [{"text": "the", "answer_start": 0}]})  # fmt: skip
        made.append({"context": context, "qas": asked})
    return {"title": f"article {seed}", "paragraphs": made}


def write_squad(folder: Path, train: int = 30, dev: int = 8, length: int = 3) -> Path:
    """Both versions; a paragraph has `length` questions, and in 2.0 one more without an answer."""
    folder.mkdir(parents=True, exist_ok=True)
    for version, unanswerable in (("1.1", False), ("2.0", True)):
        for split, paragraphs, seed in (("train", train, 0), ("dev", dev, 1)):
            data = [article(paragraphs, unanswerable=unanswerable, seed=seed, length=length)]
            path = folder / f"{split}-v{version}.json"
            path.write_text(json.dumps({"version": version, "data": data}))
    return folder
