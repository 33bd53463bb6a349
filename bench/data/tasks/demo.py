"""Three small tasks from a built-in grammar, and the text that their encoder is pre-trained on.

Everything is drawn from one lexicon of some three hundred words. No task can be answered by words
alone: polarity is flipped by negation and handed over by connectives; an event keeps its words when
the roles are swapped and may lose them all when it is told again in synonyms. The labelled rows are
few for so many words, so what a word means has to come from the unlabelled text, where a remark
follows what it remarks on ("so they left happy"): that is what makes pre-training, and keeping what
it taught, matter.
"""

from __future__ import annotations

import functools
import random
import zlib
from collections.abc import Iterator
from itertools import islice, repeat
from pathlib import Path
from typing import Any, ClassVar

from bench.data.task import Source, Splits, Task, TaskInfo

VERSION = 1
"""Raise it when the grammar would now give other rows."""

TRAIN_ROWS, DEV_ROWS = 1200, 500
"""Rows of the splits; multiples of ten, so that all classes and scores are equally frequent."""

Concept = tuple[str, ...]
"""Words of the same meaning."""

Event = tuple[Concept, ...]
"""Who did, in what manner, what to whom: a concept for each of `SLOTS`."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _concepts(text: str) -> tuple[Concept, ...]:
    """Reads `one/another` as two words of the same meaning."""
    return tuple(tuple(concept.split("/")) for concept in _words(text))


PEOPLE = _concepts(
    """doctor/physician teacher/tutor soldier/trooper sailor/mariner thief/robber lawyer/attorney
    king/monarch child/kid writer/author painter/artist singer/vocalist farmer/grower guard/sentry
    boss/manager worker/laborer pupil/student cook/chef pilot/aviator priest/cleric judge/arbiter
    actor/performer rider/jockey nurse/carer hunter/trapper"""
)
VERBS = _concepts(
    """helped/assisted praised/lauded blamed/accused followed/trailed taught/instructed
    paid/compensated fired/dismissed hired/employed fooled/deceived greeted/welcomed warned/alerted
    saved/rescued scared/frightened hurt/injured loved/adored hated/despised phoned/called
    met/encountered ignored/disregarded thanked/acknowledged chased/pursued hugged/embraced
    pushed/shoved copied/imitated"""
)
MANNERS = _concepts(
    """quickly/rapidly slowly/gradually quietly/silently gently/softly loudly/noisily
    secretly/covertly openly/publicly carefully/cautiously carelessly/recklessly
    politely/courteously eagerly/keenly bravely/boldly cleverly/smartly angrily/furiously
    happily/cheerfully sadly/mournfully"""
)
SLOTS = (PEOPLE, MANNERS, VERBS, PEOPLE)
AGENT, PATIENT = 0, 3

THINGS = _words(
    """soup waiter film hotel room book song garden bread coffee museum park bus train driver guide
    beach lamp chair shirt phone camera bike play novel concert pizza salad wine cake market shop
    tour view bed bath breakfast dinner staff music"""
)
GOOD = _words(
    """excellent superb wonderful great splendid lovely charming delightful pleasant perfect
    brilliant fantastic marvelous terrific admirable impressive enjoyable satisfying beautiful
    elegant graceful stunning magnificent remarkable outstanding fine nice decent reliable useful
    helpful friendly generous thoughtful clean fresh tasty cozy comfortable fascinating inspiring
    memorable refreshing exquisite divine fabulous glorious agreeable likable gorgeous"""
)
BAD = _words(
    """terrible awful horrible dreadful grim nasty disgusting unpleasant lousy flawed
    dismal pathetic miserable atrocious shameful disappointing boring annoying ugly
    clumsy crude shabby appalling mediocre inferior faulty broken useless unreliable
    unhelpful hostile stingy thoughtless dirty stale bland cramped uncomfortable tedious depressing
    forgettable tiresome revolting vile abysmal wretched objectionable hateful hideous rotten"""
)
AFFIRMING = ("", " very", " really", " quite", " truly", " always")
NEGATING = (" not", " never", " hardly", " scarcely", " barely", " far from")
CONTRASTS = ("{minor} but {major}", "{major} although {minor}")
MOODS = (
    _words("angry sad upset bitter gloomy furious unhappy dissatisfied"),
    _words("happy glad cheerful merry content joyful thrilled satisfied"),
)
DEGREES = ("nothing", "little", "half", "most", "everything")
"""How much two sentences share, by the number of slots."""

LINKS = ("instead", "again")
"""What is said of a second event that is another one, or the same."""

REMARKS = frozenset((*MOODS[0], *MOODS[1], *DEGREES, *LINKS))
"""Words that tell what the text before them amounts to."""

FRAME = frozenset(
    word
    for part in (*AFFIRMING, *NEGATING, *CONTRASTS, "the was so they left same . ,")
    for word in part.split()
    if "{" not in word
)
"""Function words."""


def _clause(good: bool, rng: random.Random, denial: float = 0.5) -> str:
    """Says something good or bad, plainly or, at a rate of `denial`, by denying the opposite."""
    negated = rng.random() < denial
    word = rng.choice(GOOD if good != negated else BAD)
    return f"the {rng.choice(THINGS)} was{rng.choice(NEGATING if negated else AFFIRMING)} {word}"


def _opinion(major: bool, minor: bool, rng: random.Random, denial: float = 0.5) -> str:
    """Weighs two clauses against each other; the main one decides."""
    clauses = {"major": _clause(major, rng, denial), "minor": _clause(minor, rng, denial)}
    return rng.choice(CONTRASTS).format(**clauses)


def _event(rng: random.Random) -> Event:
    """Draws an event between two different people."""
    event = [rng.choice(concepts) for concepts in SLOTS]
    event[AGENT], event[PATIENT] = rng.sample(PEOPLE, 2)
    return tuple(event)


def _swapped(event: Event) -> Event:
    """The same event with the roles exchanged."""
    agent, manner, verb, patient = event
    return patient, manner, verb, agent


def _variant(event: Event, shared: int, rng: random.Random) -> Event:
    """Another event that has exactly `shared` slots in common with this one."""
    changed = rng.sample(range(len(SLOTS)), len(SLOTS) - shared)
    swap = AGENT in changed and PATIENT in changed and rng.random() < 0.5
    other = list(_swapped(event) if swap else event)
    for slot in changed:
        if not (swap and slot in (AGENT, PATIENT)):
            other[slot] = rng.choice([c for c in SLOTS[slot] if c not in event and c not in other])
    return tuple(other)


def _tell(event: Event, rng: random.Random) -> str:
    """Puts an event into words, any of each concept's."""
    return "the {} {} {} the {}".format(*map(rng.choice, event))


def _contrary(event: Event, shared: int, rng: random.Random) -> Event:
    """Another event: roles swapped, or only `shared` slots in common."""
    return _swapped(event) if rng.random() < 0.5 else _variant(event, shared, rng)


def _passage(rng: random.Random) -> str:
    """Two sentences of unlabelled text, the second of which has to do with the first."""
    kind, good = rng.random(), rng.random() < 0.5
    if kind < 0.5:
        # Denials are rarer here than in the task: polarity shows at once, its reversal later.
        if rng.random() < 0.5:
            opinion = _clause(good, rng, denial=0.3)
        else:
            opinion = _opinion(good, rng.random() < 0.5, rng, denial=0.3)
        return f"{opinion} . so they left {rng.choice(MOODS[good])}"
    event = _event(rng)
    if kind < 0.75:
        other = event if good else _contrary(event, rng.randrange(len(SLOTS)), rng)
        return f"{_tell(event, rng)} . {_tell(other, rng)} {LINKS[good]}"
    shared = rng.randrange(len(SLOTS) + 1)
    other = _variant(event, shared, rng)
    return f"{_tell(event, rng)} . {_tell(other, rng)} , {DEGREES[shared]} the same"


def _held_out(text: str) -> bool:
    """Whether a passage is kept out of the pre-training text."""
    return zlib.crc32(text.encode()) % 16 == 0


def passages(seed: int) -> Iterator[str]:
    """Draws unlabelled passages without end; none of them is in `probe_text`."""
    rng = random.Random(seed)  # noqa: S311
    while True:
        if not _held_out(passage := _passage(rng)):
            yield passage


def corpus(n: int, seed: int = 0) -> list[str]:
    """Unlabelled text: `n` passages of the grammar, the same for the same seed."""
    return list(islice(passages(seed), n))


def probe_text(n: int = 500) -> list[str]:
    """Passages of the same grammar that the encoder has never seen, to measure its loss on."""
    return list(_probe_passages(n))


@functools.cache  # sixteen times as many are drawn, and every run of the demo asks
def _probe_passages(n: int) -> tuple[str, ...]:
    rng = random.Random("probe")  # noqa: S311
    drawn = map(_passage, repeat(rng))
    return tuple(islice(filter(_held_out, drawn), n))


def words() -> list[str]:
    """Every word of the grammar, in alphabetical order."""
    slots = [word for slot in SLOTS for concept in slot for word in concept]
    return sorted({*slots, *THINGS, *GOOD, *BAD, *REMARKS, *FRAME})


def demo_encoder_path() -> Path:
    """The folder of the encoder that was pre-trained on `corpus`, in the Hugging Face layout."""
    return Path(__file__).parent / "demo_encoder"


class _GrammarTask(Task):
    """A task whose rows are drawn from the grammar; the name is the seed."""

    _values: ClassVar[int] = 2
    """How many labels there are."""

    def _draw(self, label: int, rng: random.Random) -> tuple[str, ...]:
        """The text, or the two texts, of a row with this label."""
        raise NotImplementedError

    def load(self, source: Source) -> Splits:
        """Draws the rows, which need no `source`; no text or pair of texts occurs twice."""
        from datasets import Dataset

        rng = random.Random(self.name)  # noqa: S311
        seen: dict[tuple[str, ...], int] = {}
        while len(seen) < TRAIN_ROWS + DEV_ROWS:
            label = len(seen) % self._values
            seen.setdefault(self._draw(label, rng), label)
        rows: list[dict[str, Any]] = []
        for number, (texts, label) in enumerate(seen.items()):
            row = dict(zip(("text", "text_pair"), texts, strict=False))
            value = float(label) if self.is_regression else label
            rows.append({"id": str(number), **row, "label": value})
        return Splits(
            train=Dataset.from_list(rows[:TRAIN_ROWS]),
            dev=Dataset.from_list(rows[TRAIN_ROWS:]),
            provenance={"source": f"built-in grammar, version {VERSION}"},
        )


class Sentiment(_GrammarTask):
    """Whether a sentence, or its main clause where two disagree, says something good."""

    info = TaskInfo(
        name="demo-sentiment",
        summary="polarity of the main clause, under negation and contrast",
        labels=("negative", "positive"),
        metric="accuracy",
        group="demo",
        licence="Apache-2.0",
        version=VERSION,
    )

    def _draw(self, label: int, rng: random.Random) -> tuple[str, ...]:
        good = bool(label)
        return (_clause(good, rng) if rng.random() < 0.5 else _opinion(good, not good, rng),)


class Paraphrase(_GrammarTask):
    """Whether two sentences tell the same event; with roles swapped or a slot changed, no."""

    info = TaskInfo(
        name="demo-paraphrase",
        summary="the same event in other words, or one with roles swapped or one slot changed",
        labels=("different", "same"),
        metric="accuracy",
        group="demo",
        licence="Apache-2.0",
        version=VERSION,
    )

    def _draw(self, label: int, rng: random.Random) -> tuple[str, ...]:
        event = _event(rng)
        other = event if label else _contrary(event, len(SLOTS) - 1, rng)
        return _tell(event, rng), _tell(other, rng)


class Similarity(_GrammarTask):
    """How many of the four slots of two events mean the same."""

    info = TaskInfo(
        name="demo-similarity",
        summary="how many of four slots two events share, 0 to 4",
        labels=None,
        metric="pearson_spearman",
        group="demo",
        licence="Apache-2.0",
        version=VERSION,
    )
    _values = len(SLOTS) + 1

    def _draw(self, label: int, rng: random.Random) -> tuple[str, ...]:
        event = _event(rng)
        return _tell(event, rng), _tell(_variant(event, label, rng), rng)
