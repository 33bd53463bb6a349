"""What has to be right before a server listens."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import harness
import pytest

from bench.arena.answers import Word
from bench.arena.limits import Limit, TooOftenError
from bench.arena.pages import READ_OUT, STEPS, stretches, strongest
from bench.arena.serve import Address, opened
from bench.arena.signing import Signer, read_secret
from bench.arena.verdicts import Rule
from bench.errors import BenchError
from bench.files import read_json, write_json
from bench.results.store import Store

SAFE: dict[str, Any] = {
    "host": "0.0.0.0",
    "origin": "https://arena.example",
    "passphrase_file": Path("phrase"),
    "behind_proxy": True,
}


@pytest.mark.parametrize("missing", ["origin", "passphrase_file", "behind_proxy"])
def test_others_reach_it_only_with_all_that_protects_it(missing: str) -> None:
    assert Address(**SAFE).origins == ("https://arena.example",)
    with pytest.raises(BenchError, match="others can reach"):
        Address(**{name: value for name, value in SAFE.items() if name != missing})


def test_an_origin_that_others_use_needs_a_pass_phrase_on_loopback_too() -> None:
    with pytest.raises(BenchError, match="passphrase-file"):
        Address(origin="https://arena.example", behind_proxy=True)


@pytest.mark.parametrize(
    "origin",
    [
        "http://arena.example",
        "https://a.example/path",
        "https://u@a.example",
        "arena",
        "https://",
        "https://Arena.example",
        "https://[::1",
        "https://a.example:0",
    ],
)
def test_an_origin_is_one(origin: str) -> None:
    with pytest.raises(BenchError, match="--origin"):
        Address(**{**SAFE, "origin": origin})


def test_origins_are_what_browsers_say() -> None:
    """They name no port that is the usual one, and write hosts in small letters."""
    assert Address(**{**SAFE, "origin": "https://a.example:443"}).origins == ("https://a.example",)
    assert Address(port=80).origins[0] == "http://127.0.0.1"
    assert Address(port=443).origins[0] == "http://127.0.0.1:443"
    files = {"certificate": Path("cert.pem"), "key": Path("key.pem")}
    assert Address(port=443, **files).origins[1] == "https://localhost"
    for port in (0, 65536):
        with pytest.raises(BenchError, match="from 1 to 65535"):
            Address(port=port)


def test_https_needs_both_files() -> None:
    with pytest.raises(BenchError, match="go together"):
        Address(certificate=Path("cert.pem"))
    assert Address(port=9).origins == (
        "http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9",
    )  # fmt: skip


def test_a_pass_phrase_is_long_enough_to_be_one(tmp_path: Path) -> None:
    file = tmp_path / "phrase"
    file.write_text("correct horse\n")
    assert Address(passphrase_file=file).passphrase() == "correct horse"
    file.write_text("short")
    with pytest.raises(BenchError, match="12 characters"):
        Address(passphrase_file=file).passphrase()
    with pytest.raises(BenchError, match="cannot read"):
        Address(passphrase_file=tmp_path / "none").passphrase()


def test_one_server_a_run_folder(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with (
        store.lock("arena"),
        pytest.raises(BenchError, match="another bench arena"),
        opened(store, ["3f9a"], Address(), Rule()),
    ):
        pass


def test_a_signature_is_for_one_purpose(tmp_path: Path) -> None:
    secret = read_secret(tmp_path / "secret")
    assert (tmp_path / "secret").stat().st_mode & 0o077 == 0
    assert read_secret(tmp_path / "secret") == secret
    signer = Signer(secret)
    signed = signer.sign("session", "1-0")
    assert signer.read("session", signed) == "1-0"
    assert signer.read("form", signed) is None
    assert signer.read("session", signed.replace("1-0", "2-0")) is None
    assert Signer(b"x" * 32).read("session", signed) is None
    (tmp_path / "secret").write_bytes(b"cut")
    with pytest.raises(BenchError, match="no secret"):
        read_secret(tmp_path / "secret")


def test_a_limit_comes_back_with_time() -> None:
    now = [0.0]
    limit = Limit(2, lambda: now[0])
    limit.spend("a"), limit.spend("a")
    with pytest.raises(TooOftenError):
        limit.spend("a")
    limit.spend("b")
    now[0] = 30.0
    limit.spend("a")
    with pytest.raises(TooOftenError):
        limit.spend("a")


def test_words_are_shown_by_what_they_do() -> None:
    words = [Word(0, 0, 4, 2.0), Word(0, 5, 8, -1.0), Word(0, 9, 10, 0.01), Word(1, 0, 1, 1.0)]
    assert stretches("very bad a", 0, words) == [
        ("", ""), ("very", f"for-{STEPS}"), (" ", ""), ("bad", "against-2"), (" ", ""), ("a", ""),
        ("", ""),
    ]  # fmt: skip


def test_the_strongest_words_are_read_out_by_their_side() -> None:
    """Colours say nothing to a screen reader."""
    words = [Word(0, 0, 4, 0.5), Word(0, 5, 8, -2.0), Word(0, 9, 10, 0.0), Word(1, 0, 1, 1.0)]
    assert strongest(["very bad a", "b"], words) == [
        ("bad", "against it"), ("b", "for it"), ("very", "for it"),
    ]  # fmt: skip
    many = [Word(0, 0, 1, 1.0 + place) for place in range(9)]
    assert len(strongest(["a"], many)) == READ_OUT


def test_the_command_says_what_is_wrong(finished: Path, tmp_path: Path) -> None:
    pytest.importorskip("starlette")
    found = {record.cell["method"]: record.id for record in Store(finished).records()}
    for words, message in {
        ("unknown",): "unknown cell",
        (found["dense"],): "is a dense model",
        ("export",): "has no arena yet",
        ("export", found["dense"]): "stands alone",
        (found["magnitude"], "--agreeing", "4"): "cannot agree",
        (found["magnitude"], "--host", "0.0.0.0"): "others can reach",
    }.items():
        result = harness.bench("arena", *words, "--runs", finished)
        assert (result.status, len(result.err.splitlines())) == (2, 1), result.err
        assert message in result.err
    without = Path(shutil.copytree(finished, tmp_path / "runs"))
    cell = harness.records(finished)["magnitude", 4.0, 0].id
    for described in without.glob("data/*/prepared.json"):
        held = read_json(described)
        assert held is not None
        write_json(described, {**held, "facts": {"train": "many"}})
    result = harness.bench("arena", cell, "--runs", without)
    assert "no rows of demo-sentiment any more" in result.err
    shutil.rmtree(without / "data")
    result = harness.bench("arena", cell, "--runs", without)
    assert "no rows of demo-sentiment any more" in result.err


def test_an_export_follows_no_link_out_of_the_run_folder(tmp_path: Path) -> None:
    """A database is opened to be written, and made readable by its owner alone."""
    pytest.importorskip("nltk")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    with contextlib.closing(sqlite3.connect(foreign / "arena.sqlite3")) as one:
        one.execute("CREATE TABLE mine (x)")
    (foreign / "arena.sqlite3").chmod(0o644)
    held = (foreign / "arena.sqlite3").read_bytes()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "arena").symlink_to(foreign)
    result = harness.bench("arena", "export", "--runs", tmp_path / "runs", "--out", tmp_path / "o")
    assert (result.status, len(result.err.splitlines())) == (2, 1), result.err
    assert "leads out of" in result.err
    assert (foreign / "arena.sqlite3").read_bytes() == held
    assert (foreign / "arena.sqlite3").stat().st_mode & 0o777 == 0o644
