"""The parts of a page that stand around its tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.leaderboard.knowledge import (
    HEADS,
    knowledge_caption,
    knowledge_lines,
    knowledge_notes,
    knowledge_row,
    knowledge_text,
)
from bench.leaderboard.markdown import (
    Markdown,
    escape,
    least_p_words,
    listed,
    pipe,
    rounded,
    small_list,
)
from bench.leaderboard.ranking import (
    LEAST_ROWS,
    MAJORITY,
    OUTSIDE_AVERAGE,
    RANDOM_MASK,
    Row,
    Standings,
    decided_before,
)
from bench.leaderboard.revised import report_split_sentence, revision_note
from bench.leaderboard.short_runs import short_run_note, works_from_note
from bench.leaderboard.statistics import LEAST_SEEDS
from bench.protocol import Protocol
from bench.results.record import DENSE, ENCODER_FLOOR, TEXT_FLOOR
from bench.results.settings import threads_words
from bench.results.suites import counted_length

if TYPE_CHECKING:
    from bench.results.predictions import PredictionsOf
    from bench.results.record import Record


CONTROLS = (RANDOM_MASK, "small-dense", MAJORITY, TEXT_FLOOR, ENCODER_FLOOR, DENSE)
"""What a page says of where it is missing."""


def protocol_lines(
    suite: dict[str, Any], records: Sequence[Record], tasks: Sequence[str], undone: int
) -> list[Markdown]:
    """What was held equal, how parameters were found, and what is missing; a sentence each."""
    settings = suite["settings"]
    cap = settings["max_train_samples"]
    seeds = len({record.cell["seed"] for record in records})
    lines = [
        f"{settings['epochs']} epochs, batch {settings['batch_size']}, dropout "
        f"{settings['dropout']:g}, {escape(settings['precision'])}{_threads(records)}. "
        "The last step counts.",
        report_split_sentence(records, tasks),
        f"At most {cap:,} training rows per task, chosen by a hash of the text." if cap
        else "All training rows.",
        *_augmentation_sentence(settings.get("augment", 0)),
        *_perturbation_sentence(settings.get("perturb", "")),
        *_pretraining_sentence(settings.get("pretrain_steps", 0)),
        *_intermediate_sentences(settings.get("intermediate", ""), records),
        *_adaptation_sentence(settings.get("adapt_from", "")),
        *_rounds_sentence(settings.get("train_with", "")),
        _tuning_sentences(settings, records),
        *_seeds_sentences(seeds),
        *_shared_sentence(records, seeds),
    ]  # fmt: skip
    if never := [escape(task) for task in tasks if task in OUTSIDE_AVERAGE]:
        lines.append(f"No part of an average, because its dev set says nothing: {never[0]}.")
    if (version := settings.get("version", Protocol.version)) != Protocol.version:
        lines.append(
            f"Made under version {version} of the protocol. Today's is {Protocol.version}: the "
            "same command gives other numbers."
        )
    methods = {record.cell["method"] for record in records}
    if lacking := [name for name in CONTROLS if name not in methods]:
        lines.append(f"Controls that are missing: {', '.join(lacking)}.")
    if undone:
        lines.append(f"**{undone} of {len(suite['cells'])} cells are not done yet.**")
    return [*map(Markdown, lines)]


def _seeds_sentences(seeds: int) -> list[str]:
    """What the figures of a table are, over so many seeds."""
    if seeds == 1:
        return ["One seed: no interval, no test and no rank."]
    said = f"{seeds} seeds. A score is the mean over seeds ± half of its 95 % interval."
    if seeds < LEAST_SEEDS:
        return [said, f"Fewer than {LEAST_SEEDS} seeds: no ranks."]
    return [
        said,
        "A rank is 1 + the number of competitors that are significantly better on average (Holm "
        "over all pairs of a ratio, 5 %). No method ranks before one with a higher score.",
        "Single tasks have intervals, no ranks: so few seeds of one task cannot tell many methods "
        "apart.",
    ]


def power_note(result: Standings) -> str:
    """What the tests of a table could have seen, or nothing."""
    power = result.power()
    if power is None:
        return ""
    pairs = f"{power.pairs} pair{'s' * (power.pairs != 1)}"
    return (
        "What could have been seen: with so many seeds and tasks, the smallest p that can come "
        f"out of {pairs} of competitors is {least_p_words(power.least_p)}. The smallest difference "
        f"of averages that can pass is {power.smallest:.1f} points (median over pairs)."
    )


def _threads(records: Sequence[Record]) -> str:
    """How many threads a cell had, if that is known."""
    known = {record.environment.get("threads") for record in records}
    counts = sorted(filter(None, known))  # checkpoints from elsewhere have none
    several = "".join(f"{count} or " for count in counts[:-1])
    return f", {several}{threads_words(counts[-1])} a cell" if counts else ""


def _shared_sentence(records: Sequence[Record], seeds: int) -> list[str]:
    """Which methods share a part that one draw has made for all seeds, if any."""
    names = sorted({r.cell["method"] for r in records if r.data.get("general_text")})
    if seeds == 1 or not names:
        return []
    return [
        f"{escape(', '.join(names))}: the training on unlabelled text is drawn once, for all "
        "seeds. So its chance is no part of the intervals."
    ]


def _tuning_sentences(settings: dict[str, Any], records: Sequence[Record]) -> str:
    """How parameters were found."""
    if sources := {r.tuning["from"].partition(",")[0] for r in records if "from" in r.tuning}:
        listed = ", ".join(map(escape, sorted(sources)))
        return (
            f"Parameters are carried over from the tuning of {listed}, whose page has its cost. "
            "None was tuned here."
        )
    if not settings["trials"]:
        return "Default parameters, no tuning."
    how = sorted({r.tuning["sampler"] for r in records if "sampler" in r.tuning})
    untuned = {
        f"{r.cell['method']} on {r.cell['task']} at {r.cell['ratio']:g}×"
        for r in records
        if r.tuning.get("trials") and r.tuning.get("parameters") == "default"
    }
    but = f" No trial met the ratio of {escape('; '.join(sorted(untuned)))}: defaults there."
    return (
        f"Each method was tuned in {settings['trials']} trials per task and ratio "
        f"({escape(', '.join(how))}), scored on the tune split.{but if untuned else ''}"
    )


def uninformative_note(table: Standings) -> str:
    """Which tasks say nothing of compression, or nothing."""
    if not table.uninformative:
        return ""
    dense = table.row(DENSE)
    records = dense.records if dense else []
    late = [task for task in table.uninformative if decided_before(records, task) is None]
    return (
        f"† {', '.join(map(escape, table.uninformative))}: the dense model is not significantly "
        f"above the majority class, or there are fewer than {LEAST_ROWS} report rows. So the "
        "column says nothing about compression, and the average leaves it out. "
        + (
            f"Of {', '.join(map(escape, late))} this was decided on the report rows."
            if late
            else "This was decided on the tune rows, before."
        )
    )


def above_dense_note(table: Standings) -> str:
    """Which methods came out above the dense model, or nothing."""
    names = ", ".join(map(escape, table.above_dense()))
    return f"Significantly above the dense model on average: {names}." if names else ""


def _augmentation_sentence(variants: int) -> list[str]:
    """What the page says of augmentation, if there was any."""
    said = f"Training rows augmented: up to {variants} variants of each by word replacement."
    return [said] if variants else []


def _adaptation_sentence(other: str) -> list[str]:
    """What the page says of rows of another domain, if there are any."""
    said = f"Trainings see all training rows of {escape(other)}, too, by EasyAdapt; tune rows and"
    return [f"{said} report rows are the task's own."] if other else []


def _rounds_sentence(rounds: str) -> list[str]:
    """What the page says of examples that people wrote, if any are learnt."""
    said = (
        f"Trainings see what people wrote in {escape(rounds.replace(',', ', '))} of an arena, too"
    )
    return [f"{said}. Under Data stands how many examples that are."] if rounds else []


def _pretraining_sentence(steps: int) -> list[str]:
    """What the page says of continued pre-training, if there is any."""
    said = f"The encoder first goes on learning to name hidden pieces of the text, {steps:,} steps."
    return [f"{said} A row that is pinned to another number says so."] if steps else []


def _intermediate_sentences(own: str, records: Sequence[Record]) -> Iterator[str]:
    """What the page says of tasks that encoders were fine-tuned on before, if there were any."""
    if own:
        yield (
            f"All starts from the encoder after it was fine-tuned on {escape(own)}. A row that is "
            "pinned to another task says so."
        )
    tasks = {r.data["intermediate"]["name"]: r.data["intermediate"] for r in records
             if "intermediate" in r.data}  # fmt: skip
    for name, facts in sorted(tasks.items()):
        made = f" of {escape(facts['endings'])}" if "endings" in facts else ""
        yield (
            f"Intermediate task {escape(name)}: {facts['rows']:,} rows{made}, trained on as dense "
            "is by default, once for all seeds: its chance is no part of the intervals. "
            f"{escape(facts['metric'])} on {facts['held_out']:,} further rows: "
            f"{rounded(facts['score'], 1)}."
        )


def _perturbation_sentence(perturbation: str) -> list[str]:
    """What the page says of a suite's perturbation, if there is one."""
    said = f"While training on the task's rows, the input is perturbed: {escape(perturbation)}."
    return [f"{said} A row that is pinned to another one says so."] if perturbation else []


def table_notes(rows: Sequence[Row]) -> str:
    """What stands under a table: cells that missed, failed or cannot be reached, and notes."""
    lines = []
    notes: dict[str, dict[str, None]] = {}
    for record in (record for row in rows for record in row.records):
        for note in record.data.get("notes", []):
            where = f"{escape(record.cell['task'])}: {escape(note)}"
            who = f"{escape(record.cell['method'])} seed {record.cell['seed']}"
            notes.setdefault(where, {})[who] = None
        cell = record.cell
        what = f"{escape(cell['method'])} on {escape(cell['task'])}, seed {cell['seed']}"
        if record.status == "missed":
            ratio = record.footprint[cell["axis"]]["ratio"]
            lines.append(
                f"missed: {what}: {ratio:.2f}× instead of {cell['ratio']:g}×, "
                f"score {rounded(record.score, 1)}"
            )
        elif record.status == "unreachable":
            best = record.footprint.get(cell["axis"], {}).get("ratio")
            lines.append(f"unreachable: {what}: {rounded(best, 2)}× at most")
        elif record.status == "failed":
            message = escape((record.error or {}).get("message", ""))
            lines.append(f"failed: {what}: {message}")
    lines += [f"{where} ({', '.join(methods)})" for where, methods in notes.items()]
    lines += [
        line
        for row in rows
        for say in (revision_note, works_from_note, short_run_note)
        if (line := say(row))
    ]
    return small_list(lines)


def missing_predictions_note(records: Sequence[Record]) -> str:
    """That predictions are missing, without which there is no interval; nothing without any."""
    if not records:
        return ""
    cell = records[0].cell
    first = f"{escape(cell['method'])} on {escape(cell['task'])}, seed {cell['seed']}"
    return (
        f"**The predictions of {len(records)} scored cells are missing** (the first: {first}). "
        "Such a cell has no part in intervals and ranks."
    )


def parameters_table(records: Sequence[Record]) -> str:
    """One line for each method, ratio and set of parameters, with the tasks that share it."""
    tasks: dict[tuple[str, ...], list[str]] = {}
    for record in records:
        if record.params:
            text = listed(record.params)
            moved = record.tuning.get("from") or ", ".join(record.tuning.get("found", {}))
            key = (record.cell["method"], f"{record.cell['ratio']:g}", text, moved)
            known = tasks.setdefault(key, [])
            if record.cell["task"] not in known:
                known.append(record.cell["task"])
    rows = [[*key[:2], ", ".join(names), *key[2:]] for key, names in tasks.items()]
    heads = ["method", "ratio", "tasks", "parameters", "tuned here, or carried from"]
    table = pipe(heads, rows)
    return table and f"Names and values are those of the command line.\n\n{table}"


def knowledge_table(suite: str, records: Sequence[Record], answers: PredictionsOf) -> str:
    """What is left of pre-training, on average over tasks; nothing where no one text says so."""
    try:
        text = knowledge_text(suite, records)
    except BenchError:
        return ""
    lines = knowledge_lines(records, answers)
    shown = [line for line in lines if line.task == lines[-1].task]
    rows = [knowledge_row(line) for line in shown]
    said = escape(knowledge_caption(text))
    notes = "\n".join(f"- {note}" for note in knowledge_notes(shown))
    table = f"{said[0].upper()}{said[1:]}.\n\n{pipe(HEADS, rows)}"
    return f"{table}\n\n{notes}" if notes else table


def hardware_note(records: Sequence[Record]) -> str:
    """Which rows of a task were trained on different hardware, and in how many blocks; or nothing.

    A block is the cells of a task and a seed, which methods are compared in.
    """
    found: dict[str, dict[str, set[str]]] = {}
    blocks: dict[tuple[str, int], set[str]] = {}
    for record in records:
        env = record.environment
        if env and record.cost.get("train_flops"):
            there = found.setdefault(record.cell["task"], {})
            on = f"{processor(env)}, {escape(env['device'])}"
            there.setdefault(on, set()).add(record.cell["method"])
            blocks.setdefault((record.cell["task"], record.cell["seed"]), set()).add(on)
    tasks: dict[str, list[str]] = {}
    for task, there in found.items():
        if len(there) > 1:
            listed = "; ".join(f"{on}: {escape(', '.join(sorted(m)))}" for on, m in there.items())
            tasks.setdefault(listed, []).append(task)
    lines = [f"- {escape(', '.join(names))}: {listed}" for listed, names in tasks.items()]
    if not lines:
        return ""
    mixed = sum(len(kinds) > 1 for kinds in blocks.values())
    return (
        "**Trained on different hardware.** Its rounding alone moves single seeds. So an order of "
        f"methods across machines says little. Of {len(blocks)} blocks of a task and a seed, "
        f"{mixed} {'is' if mixed == 1 else 'are'} mixed:\n\n" + "\n".join(lines)
    )


def processor(measured: Mapping[str, Any]) -> str:
    """A processor and what it computes with."""
    return escape(f"{measured['processor']} ({' '.join(measured['vector_extensions'])})")


def machines_list(records: Sequence[Record]) -> str:
    """Every environment that a cell ran in."""
    lines: dict[str, None] = {}
    for record in records:
        env = record.environment
        if env:
            packages = ", ".join(f"{name} {v}" for name, v in env["packages"].items())
            software = escape(f"Python {env['python']}, {packages}")
            lines[
                f"- {processor(env)}, {escape(env['device'])}, {escape(env['precision'])}, "
                f"{threads_words(env['threads'])} per cell; {software}"
            ] = None
        if timed := record.latency:
            lines[
                f"- speed: {processor(timed)}, {threads_words(timed['threads'])}; "
                + escape(", ".join(f"{name}: {v}" for name, v in timed["engines"].items()))
            ] = None
    return "\n".join(lines)


def axis_words(suite: dict[str, Any]) -> str:
    """What a suite's ratios are counted on."""
    words = {"weights": "prunable weights", "flops": f"FLOPs (S = {counted_length(suite)})"}
    return words.get(suite["axis"]) or str(suite["axis"])
