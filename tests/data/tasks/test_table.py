"""Tasks declared in TOML files."""

from __future__ import annotations

import codecs
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.data.task import Source, Splits
from bench.data.tasks.table import table_task
from bench.errors import BenchError

DECLARED = {
    "name": "tickets",
    "train": "train.csv",
    "dev": "dev.csv",
    "text": "subject",
    "label": "queue",
    "labels": ["billing", "technical", "other"],
}


def declare(folder: Path, **changes: object) -> Path:
    """A declaration in which these keys differ; those set to `None` are left out."""
    path = folder / "tickets.toml"
    keys = {**DECLARED, **changes}
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items() if value is not None]
    path.write_text("\n".join(lines))
    return path


def load(folder: Path, content: str, end: str = ".csv", **changes: object) -> Splits:
    """A task whose train and dev rows are the same."""
    for name in ("train", "dev"):
        (folder / f"{name}{end}").write_bytes(content.encode())
    path = declare(folder, train=f"train{end}", dev=f"dev{end}", **changes)
    return table_task(path).load(Source())


def test_declaration_becomes_a_task(tmp_path) -> None:
    task = table_task(declare(tmp_path))
    assert task.name == "tickets"
    assert task.info.labels == ("billing", "technical", "other")
    assert (task.info.metric, task.num_labels, task.is_regression) == ("accuracy", 3, False)


def test_a_byte_order_mark_is_no_part_of_a_declaration(tmp_path) -> None:
    path = declare(tmp_path)
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    assert table_task(path).info.labels == ("billing", "technical", "other")


def test_csv_quotes_names_and_numbers(tmp_path) -> None:
    splits = load(tmp_path, 'queue,subject\r\nbilling,"Two\r\nlines, ""quoted"""\r\n1,Plain\r\n')
    assert splits.train[:] == {
        "id": ["0", "1"], "text": ['Two\r\nlines, "quoted"', "Plain"], "label": [0, 1]
    }  # fmt: skip
    assert splits.provenance["source"] == "tickets.toml"
    assert str(tmp_path) not in str(splits.provenance)


def test_csv_lines_are_counted_in_the_file(tmp_path) -> None:
    with pytest.raises(BenchError, match=r"train.csv:4: label 'spam' is none of .*billing"):
        load(tmp_path, 'queue,subject\nother,"a\nb"\nspam,c\n')


def test_blanks_around_a_class_name_are_no_part_of_it(tmp_path) -> None:
    splits = load(tmp_path, "queue,subject\n yes,a\nno ,b\n", labels=[" no", "yes "])
    assert splits.train["label"] == [1, 0]
    with pytest.raises(BenchError, match="is not a list of different class names"):
        table_task(declare(tmp_path, labels=["no", "no "]))


def test_more_classes_than_any_metric_takes_are_refused_in_a_short_line(tmp_path) -> None:
    path = declare(tmp_path, labels=[f"class {number}" for number in range(10_001)])
    with pytest.raises(BenchError, match="class names, 10,000 at most") as caught:
        table_task(path)
    assert len(str(caught.value)) < 400


def test_csv_with_an_open_quote_stops(tmp_path) -> None:
    with pytest.raises(BenchError, match=r"train.csv, after row 1: unexpected end of data"):
        load(tmp_path, 'queue,subject\nother,a\nother,"b\n')


def test_csv_takes_a_long_text(tmp_path) -> None:
    text = "word " * 30_000
    assert load(tmp_path, f"queue,subject\nother,{text}\n").train["text"] == [text]


def test_tsv_takes_quotes_as_text(tmp_path) -> None:
    splits = load(tmp_path, 'subject\tqueue\n"a\tother\n', ".tsv")
    assert splits.dev[0] == {"id": "0", "text": '"a', "label": 2}


def test_jsonl_pair(tmp_path) -> None:
    rows = [{"q": "Why?", "a": "So.", "ok": 1}, {"q": "Who?", "a": "Me.", "ok": "no"}]
    lines = [*map(json.dumps, rows), '{"q": "When?", "ok": 0}', "[1]", "{", json.dumps(rows[0])]
    pair = {"text": ["q", "a"], "label": "ok", "labels": ["no", "yes"]}
    splits = load(tmp_path, "\n".join(lines) + "\n", ".jsonl", **pair)
    assert splits.train["text_pair"] == ["So.", "Me.", "So."]
    assert splits.train["label"] == [1, 0, 1]
    assert splits.skipped[:2] == (
        "train.jsonl:3: no text in column 'a'",
        "train.jsonl:4: no JSON object",
    )
    assert splits.skipped[2].startswith("train.jsonl:5: no JSON: ")


def test_json_that_cannot_be_taken_apart_or_written_is_left_out(tmp_path) -> None:
    lines = [json.dumps({"subject": "a", "queue": 1})] * 3
    lines += [
        "[" * 200_000,
        r'{"subject": "\ud800", "queue": 1}',
        r'{"subject": "b", "queue": "\ud800"}',
    ]
    splits = load(tmp_path, "\n".join(lines) + "\n", ".jsonl", labels=None, regression=True)
    assert splits.train["text"] == ["a"] * 3
    assert splits.skipped[0].startswith("train.jsonl:4: no JSON: maximum recursion depth")
    assert splits.skipped[1:3] == (
        "train.jsonl:5: half a surrogate pair in column 'subject'",
        "train.jsonl:6: label '?' cannot be read",
    )
    said = "train.jsonl cannot be read as .jsonl: line 1: no JSON: maximum recursion"
    with pytest.raises(BenchError, match=said):
        load(tmp_path, lines[3], ".jsonl")


def test_parquet_regression(tmp_path) -> None:
    for name in ("train", "dev"):
        pq.write_table(pa.table({"t": ["a", "b"], "y": [1, 2.5]}), tmp_path / f"{name}.parquet")
    path = declare(
        tmp_path, train="train.parquet", dev="dev.parquet",
        text="t", label="y", labels=None, regression=True,
    )  # fmt: skip
    task = table_task(path)
    assert (task.info.metric, task.num_labels) == ("pearson_spearman", 1)
    splits = task.load(Source())
    assert splits.dev["label"] == [1.0, 2.5]
    assert splits.dev.features["label"].dtype == "float64"


@pytest.mark.parametrize("label", ["nan", "inf", "1e300"])
def test_regression_label_must_be_finite_in_float32(tmp_path, label) -> None:
    with pytest.raises(BenchError, match=r"train.csv:2: label .* is no number from -3.4.*\+38"):
        load(tmp_path, f"subject,queue\na,{label}\n", labels=None, regression=True)


def test_class_names_that_are_numbers_leave_no_room_for_class_numbers(tmp_path) -> None:
    assert load(tmp_path, "subject,queue\na,2\n", labels=["1", "2"]).train["label"] == [1]
    with pytest.raises(BenchError, match="label '0' is none of 1, 2"):
        load(tmp_path, "subject,queue\na,0\n", labels=["1", "2"])


def test_missing_column_and_missing_file(tmp_path) -> None:
    with pytest.raises(BenchError, match=r"train.csv has no column 'queue'; it has: 'subject', 'q"):
        load(tmp_path, "subject,q\na,other\n")
    (tmp_path / "train.csv").write_text("subject,queue\na,other\n")
    with pytest.raises(BenchError, match=r"no file .*gone.csv\. tickets.toml names it"):
        table_task(declare(tmp_path, dev="gone.csv")).load(Source())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lables": ["a"]}, "unknown key 'lables'. Did you mean 'labels'?"),
        ({"label": None}, "'label' is missing"),
        ({"name": "Support Tickets"}, "name = 'Support Tickets' is not a name of lower case"),
        ({"name": "../up"}, "name = '../up' is not a name of lower case"),
        ({"train": "train.xlsx"}, "train = 'train.xlsx' is not a file that ends in .tsv"),
        ({"train": "a\0.csv"}, r"train = 'a\x00.csv' is not a file that ends in .tsv"),
        ({"dev": "train.csv"}, "train and dev are the same file"),
        ({"text": ["a", "b", "c"]}, "text = ['a', 'b', 'c'] is not a column or a list of two"),
        ({"text": 3}, "text = 3 is not a column"),
        ({"labels": None}, "regression = true, and has neither"),
        ({"regression": True}, "regression = true, and has both"),
        ({"regression": "yes"}, "regression = 'yes' is not true or false"),
        ({"labels": ["a", "a"]}, "is not a list of different class names"),
        ({"labels": [1, 2]}, "is not a list of different class names"),
        ({"metric": "acuracy"}, "unknown metric 'acuracy'. Did you mean 'accuracy'?"),
        ({"metric": ["accuracy"]}, "metric = ['accuracy'] is not a metric"),
        ({"metric": "pearson_spearman"}, "metric pearson_spearman does not fit classes"),
        (
            {"metric": "accuracy", "labels": None, "regression": True},
            "metric accuracy does not fit a regression",
        ),
        ({"metric": "accuracy_f1"}, "metric accuracy_f1 needs two classes, not 3"),
    ],
)
def test_mistakes_in_the_declaration(tmp_path, changes, message) -> None:
    with pytest.raises(BenchError) as caught:
        table_task(declare(tmp_path, **changes))
    assert message in str(caught.value)


def test_all_mistakes_stand_in_one_line(tmp_path) -> None:
    with pytest.raises(BenchError) as caught:
        table_task(declare(tmp_path, name="A", train="x", metric="bleu", extra=1))
    message = str(caught.value)
    assert "\n" not in message
    assert "same file" not in message
    for part in ("tickets.toml: ", "name = 'A'", "train = 'x'", "metric 'bleu'", "key 'extra'"):
        assert part in message


def test_unreadable_declarations(tmp_path) -> None:
    (tmp_path / "broken.toml").write_text("name = ")
    with pytest.raises(BenchError, match=r"broken.toml is no TOML"):
        table_task(tmp_path / "broken.toml")
    with pytest.raises(BenchError, match=r"cannot read .*gone.toml: No such file"):
        table_task(tmp_path / "gone.toml")
    for deep in ("train = " + "[" * 5_000, "train" + ".a" * 5_000 + " = 1"):
        (tmp_path / "deep.toml").write_text(deep)
        with pytest.raises(BenchError, match=r"deep.toml is nested too deep"):
            table_task(tmp_path / "deep.toml")


def test_a_number_that_no_message_could_show_is_refused(tmp_path) -> None:
    path = tmp_path / "long.toml"
    for number in ("9" * 5_000, "9" * 4_000, "0x" + "f" * 5_000, f"[[{2**65}]]"):
        path.write_text(f"name = {number}")
        with pytest.raises(
            BenchError, match=r"long.toml (has a whole|is no TOML: .*digits)"
        ) as got:
            table_task(path)
        assert len(str(got.value)) < 200 + len(str(path))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dev": "./train.csv"}, "same file"),
        ({"dev": "t/../train.csv"}, "same file"),
        ({"label": "subject"}, "both text and label"),
    ],
)
def test_a_declaration_that_would_score_itself_is_refused(tmp_path, changes, said) -> None:
    with pytest.raises(BenchError, match=said):
        table_task(declare(tmp_path, **changes))


def test_blank_lines_of_a_csv_are_no_rows(tmp_path) -> None:
    splits = load(tmp_path, "subject,queue\na,billing\n\n\n")
    assert splits.skipped == ()


def test_a_last_row_without_text_or_line_end_is_left_out_like_any_other(tmp_path) -> None:
    splits = load(tmp_path, "subject,queue\na,billing\n,other")
    assert [line.split(":")[1] for line in splits.skipped] == ["3", "3"]
    with pytest.raises(BenchError, match="cut off in its last line"):
        load(tmp_path, "subject,queue\na,billing\nb")
