"""The arena's pages, as a browser uses and misuses them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

pytest.importorskip("starlette")

from arena_site import ORIGIN, Person, Words, arena, field_of, person, refused
from arena_tables import DENSE, SMALL
from starlette.testclient import TestClient

from bench.arena.application import application
from bench.arena.export import export
from bench.arena.guard import HEADERS
from bench.arena.writing import answer_left
from bench.checksums import damaged_files
from bench.errors import BenchError
from bench.results.rounds import read_rounds

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"
SHOWN = "&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;"


def test_from_an_invitation_to_a_set(tmp_path: Path) -> None:
    pytest.importorskip("nltk")
    held = arena(tmp_path)
    owner = person(held, "owner", "Olga")
    page = owner.post("/people/invite", role="annotator").text
    link = page.split('<code id="link">')[1].split("<")[0]
    assert link.startswith(f"{ORIGIN}/join/")
    ada = Person(held)
    token = link.rpartition("/")[2]
    joined = ada.post("/join", csrf=field_of(ada.get(f"/join/{token}").text, "csrf"), token=token,
                      name="Ada")  # fmt: skip
    assert joined.status_code == 303
    bea, cem = person(held, "validator", "Bea"), person(held, "validator", "Cem")

    shown = ada.get(ada.write("fine by me", 1).headers["location"]).text
    assert "You found what compression broke" in shown
    assert "Model A" in shown
    assert SMALL.id not in shown
    assert '<mark class="for-4">fine</mark>' in shown
    assert '<p class="hidden-text">The words that counted most: fine, for it.</p>' in shown
    assert "Not fooled" in ada.get(ada.write("good", 1).headers["location"]).text
    ada.write("good but not right", 0)
    for voter in (bea, cem):
        page = voter.get("/validate").text
        assert "fine by me" in page
        assert "Model A" not in page
        for label in (1, 1, 1):
            assert voter.vote(label).status_code == 303
    assert "Nothing waits" in bea.get("/validate").text

    closed = owner.get(owner.post("/close", round="1").headers["location"]).text
    assert "magnitude 4×, seed 0" in closed
    assert "33.3 %" in closed  # vMER: one of three
    rows = parquet.read_table(tmp_path / "arena" / "rounds" / "round-1" / "set.parquet")
    assert rows.select(["text", "label", "fooled"]).to_pylist() == [
        {"text": "fine by me", "label": 1, "fooled": [SMALL.id]},
        {"text": "good", "label": 1, "fooled": []},
    ]
    assert not damaged_files(tmp_path / "arena" / "rounds" / "round-1")
    card = (tmp_path / "arena" / "rounds" / "round-1" / "README.md").read_text()
    assert "never ranked" in card
    facts = json.loads((tmp_path / "arena" / "rounds" / "round-1" / "round.json").read_text())
    assert (facts["task"], facts["labels"], facts["rows"]) == ("toy", ["negative", "positive"], 2)
    assert [one["cell"] for one in facts["targets"]] == [DENSE.id, SMALL.id]
    assert held.round().number == 2
    assert "round is closed" in ada.post("/retract", example="1").text

    files = export(held.store, tmp_path / "out")
    whole = "".join(path.read_text() for path in files)
    assert not any(name in whole for name in ("Ada", "Bea", "Cem", "Olga"))
    figures = json.loads(files[1].read_text())["round-1"]
    small = next(one for one in figures["models"] if one["id"] == SMALL.id)
    assert (small["vmer"]["count"], small["vmer"]["of"], small["lost"]["count"]) == (1, 3, 1)
    assert read_rounds(tmp_path, [SMALL.id]) == [figures]  # what an HTML page shows is the same
    assert read_rounds(tmp_path, ["another cell"]) == read_rounds(tmp_path / "nowhere", []) == []
    path = tmp_path / "arena/rounds/round-1/figures.json"
    path.chmod(0o644)
    path.write_text('{"name": "round-1"}')
    with pytest.raises(BenchError, match=r"round-1/figures.json: .*`task`"):
        read_rounds(tmp_path, [SMALL.id])


def test_a_form_of_another_site_is_refused(tmp_path: Path) -> None:
    held = arena(tmp_path)
    ada, bea = person(held, "annotator", "Ada"), person(held, "annotator", "Bea")
    page = ada.get("/write").text
    form = {name: field_of(page, name) for name in ("csrf", "begun")} | {"text": "x", "label": "0"}
    own = {"origin": ORIGIN}

    def send(headers: dict[str, str], **changes: str) -> Any:
        return ada.browser.post("/write", data={**form, **changes}, headers=headers)

    refused(send(own, csrf=""), 403)
    refused(send(own, csrf=bea.token()), 403)
    refused(send(own, begun=field_of(bea.get("/write").text, "begun")), 400)
    refused(send(own, begun="1 0 t9." + "0" * 64), 400)
    refused(send({}), 403)
    for origin in ("https://evil.example", "null", "http://127.0.0.1:9999", ""):
        refused(send({"origin": origin}), 403)
    for site in ("cross-site", "same-site", "none"):
        refused(send({**own, "sec-fetch-site": site}), 403)
    refused(send({**own, "host": "rebound.example:8321"}), 400)
    refused(send({**own, "content-type": "text/plain"}), 415)
    assert held.examples.of_round(held.round().number) == []
    assert send({**own, "sec-fetch-site": "same-origin"}).status_code == 303


def test_another_site_may_link_to_pages_and_embed_none(tmp_path: Path) -> None:
    ada = person(arena(tmp_path), "annotator", "Ada")
    cross = {"sec_fetch_site": "cross-site"}
    assert ada.get("/write", **cross, sec_fetch_mode="navigate").status_code == 200
    refused(ada.get("/write", **cross, sec_fetch_mode="no-cors"), 403)
    refused(ada.get("/write", host="evil.example"), 400)
    refused(ada.browser.put("/write"), 405)


def test_a_link_of_another_site_ends_no_session(tmp_path: Path) -> None:
    """The browser leaves a strict cookie out, and would take a new one in its place."""
    held = arena(tmp_path)
    person(held, "annotator", "Ada")
    headers = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
    for address in ("/", "/validate", "/join/unknown", "/examples/1", "/nowhere"):
        answer = Person(held).get(address, **headers)
        assert "set-cookie" not in answer.headers
    assert '<a href="/">' in Person(held).get("/", **headers).text
    assert '<a href="/">' in Person(held).get("/validate", **headers).text


def test_https_is_never_asked_of_all_ports_of_this_machine(tmp_path: Path) -> None:
    for origins, strict in (
        (("https://arena.example",), True),
        (("https://127.0.0.1:8321", "https://localhost:8321"), False),
    ):
        guarded = TestClient(application(arena(tmp_path, origins=origins)), origins[0])
        assert ("strict-transport-security" in guarded.get("/").headers) is strict


def test_what_a_text_may_hold(tmp_path: Path) -> None:
    ada = person(arena(tmp_path), "annotator", "Ada")
    for text in ("vrai\u202f!", "wide\u3000space", "no\u00a0break", "two\nlines"):
        assert ada.write(text, 1).status_code == 303
    for text in ("turned \u202eround", "bell \a", "\u200b", "half"):
        assert ada.write(text, 1).status_code == (303 if text == "half" else 400)


def test_an_address_with_a_number_of_any_length_is_answered(tmp_path: Path) -> None:
    ada = person(arena(tmp_path), "annotator", "Ada")
    assert ada.get(f"/examples/{'9' * 5000}").status_code in (400, 404)


def test_dense_models_are_not_among_the_fooled(tmp_path: Path) -> None:
    """By any name: they are numbered where there are two, and named when a round is closed."""
    pytest.importorskip("nltk")
    held = arena(tmp_path)
    ada = person(held, "annotator", "Ada")
    address = ada.write("good", 0).headers["location"]
    assert "Model A answered wrongly, and so did the dense model" in ada.get(address).text
    held.examples.close(1)
    said = ada.get(address).text
    assert (
        '<p role="status">magnitude 4×, seed 0 answered wrongly, and so did the dense model' in said
    )


def test_every_answer_forbids_scripts_and_frames(tmp_path: Path) -> None:
    held = arena(tmp_path)
    ada = person(held, "annotator", "Ada")
    for one in (
        ada.get("/write"), ada.get("/arena.css"), ada.get("/nowhere"), ada.post("/write", csrf="x"),
        ada.get("/write", host="evil.example"), Person(held).get("/people"),
    ):  # fmt: skip
        assert {name: one.headers[name] for name in HEADERS} == HEADERS
        assert "script-src" not in one.headers["content-security-policy"]  # so that none may run
        assert "<script" not in one.text
        assert "style=" not in one.text


@pytest.mark.parametrize("pairs", [False, True])
def test_what_is_written_is_shown_as_text(tmp_path: Path, pairs: bool) -> None:
    pytest.importorskip("nltk")
    held = arena(tmp_path, pairs=pairs)
    ada, bea = person(held, "owner", SCRIPT[:40]), person(held, "validator", "Bea")
    fields = {"text_pair": f"{SCRIPT} too"} if pairs else {}
    place = ada.write(SCRIPT, 1, **fields).headers["location"]
    pages = [place, "/mine", "/figures", "/people", "/write?from=1"]
    shown = [ada.get(page).text for page in pages] + [bea.get("/validate").text]
    assert not any("<script" in page or "<img" in page for page in shown)
    assert SHOWN in shown[-1]
    assert SHOWN.replace(" ", "") in shown[0].replace("</mark>", "").replace(" ", "").replace(
        '<markclass="for-4">', ""
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Nothing was written"),
        (" \n ", "Nothing was written"),
        ("x" * 2001, "longer than 2,000"),
        ("many " * 51, "51 word pieces"),
        ("a\0b", "nobody can see"),
        ("a\u202eb", "nobody can see"),
    ],
)
def test_a_text_that_will_not_do_is_refused(tmp_path: Path, text: str, message: str) -> None:
    held = arena(tmp_path)
    ada = person(held, "annotator", "Ada")
    answer = ada.write(text, 1)
    assert answer.status_code == 400
    assert message in answer.text
    assert held.examples.of_round(1) == []


@pytest.mark.parametrize("label", ["2", "-1", "", "x", "1e3", "9" * 30, "²"])
def test_a_label_that_is_none_is_refused(tmp_path: Path, label: Any) -> None:
    held = arena(tmp_path)
    ada, bea = person(held, "annotator", "Ada"), person(held, "validator", "Bea")
    refused(ada.write("good", label), 400)
    ada.write("good", 1)
    refused(bea.vote(label), 400)
    assert [one.votes for one in held.examples.of_round(1)] == [{}]


def test_a_form_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    held = arena(tmp_path)
    ada = person(held, "annotator", "Ada")
    refused(ada.write("x" * 70_000, 1), 413)
    many = {f"field{number}": "x" for number in range(30)}
    refused(ada.post("/write", **many), 400)
    broken = ada.browser.post("/write", content=b"text=%ff%fe\xff", headers={
        "origin": ORIGIN, "content-type": "application/x-www-form-urlencoded"})  # fmt: skip
    refused(broken, 400)
    assert held.examples.of_round(1) == []


def test_a_full_line_keeps_nothing(tmp_path: Path) -> None:
    held = arena(tmp_path, places=1)
    ada = person(held, "annotator", "Ada")
    with held.queue.place():
        refused(ada.write("good", 1), 503)
    assert held.examples.of_round(1) == []
    assert ada.write("good", 1).status_code == 303


def test_an_example_is_kept_before_the_models_are_asked(tmp_path: Path) -> None:
    class Broken(Words):
        def answers(self, texts: Any) -> Any:
            raise MemoryError

    ada = person(arena(tmp_path, field=Broken()), "annotator", "Ada")
    ada.browser = type(ada.browser)(
        ada.browser.app, ORIGIN, raise_server_exceptions=False, follow_redirects=False,
        cookies=ada.browser.cookies,
    )  # fmt: skip
    assert ada.write("good", 1).status_code == 500
    again = arena(tmp_path)
    assert [one.texts for one in again.examples.unanswered(1)] == [("good",)]
    assert answer_left(again) == 1
    assert again.examples.unanswered(1) == []


def test_a_training_row_is_lent_with_its_lineage(tmp_path: Path) -> None:
    held = arena(tmp_path, pairs=True)
    ada = person(held, "annotator", "Ada")
    page = ada.get("/write?from=row").text
    assert "a row of training" in page
    assert "and its other text" in page
    fields = {name: field_of(page, name) for name in ("csrf", "begun")}
    ada.post("/write", **fields, text="a changed row", text_pair="other", label="1")
    first = held.examples.get(1)
    assert first is not None
    assert (first.source, first.texts) == ("t7", ("a changed row", "other"))
    page = ada.get("/write?from=1").text
    fields = {name: field_of(page, name) for name in ("csrf", "begun")}
    ada.post("/write", **fields, text="changed again", text_pair="other", label="1")
    second = held.examples.get(2)
    assert second is not None
    assert second.source == "t7"
    assert ada.post("/retract", example="1").status_code == 303
    assert held.examples.get(1) is None


def test_a_model_whose_record_has_vanished_is_named(tmp_path: Path) -> None:
    pytest.importorskip("nltk")
    held = arena(tmp_path)
    ada = person(held, "owner", "Ada")
    ada.write("good", 1)
    assert f"cell {SMALL.id}" in ada.get("/figures").text


def test_an_open_rounds_figures_are_its_owners_alone(tmp_path: Path) -> None:
    """Of few examples they would tell a validator what the models said."""
    pytest.importorskip("nltk")
    held = arena(tmp_path)
    olga, ada = person(held, "owner", "Olga"), person(held, "annotator", "Ada")
    bea, cem = (person(held, "validator", name) for name in ("Bea", "Cem"))
    ada.write("good", 1)
    assert "Close round-1" in olga.get("/figures").text
    assert "No figures yet" in bea.get("/figures?round=1").text
    assert bea.vote(1).status_code == cem.vote(1).status_code == 303
    olga.post("/close", round="1")
    assert "magnitude" in bea.get("/figures").text
    refused(bea.get("/figures?round=2"), 400)
    assert "round-2" in olga.get("/figures").text
