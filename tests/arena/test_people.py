"""Who comes into the arena, what they may do there, and when they are out again."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("starlette")

from arena_site import Person, arena, field_of, person, refused

from bench.arena.limits import Limit


def test_nobody_does_what_is_not_theirs(tmp_path: Path) -> None:
    held = arena(tmp_path)
    stranger = Person(held)
    for page in ("/write", "/validate", "/mine", "/figures", "/people", "/examples/1"):
        refused(stranger.get(page), 401)
    ada, bea = person(held, "annotator", "Ada"), person(held, "annotator", "Bea")
    validator = person(held, "validator", "Cem")
    ada.write("good and a secret", 1)
    refused(validator.get("/write"), 403)
    refused(validator.post("/write", text="x", label="1"), 403)
    refused(bea.get("/examples/1"), 400)
    refused(bea.post("/retract", example="1"), 400)
    assert "a row" not in bea.get("/write?from=1").text
    assert "a secret" not in bea.get("/write?from=1").text
    for one in (ada, validator):
        refused(one.get("/people"), 403)
        for page in ("/close", "/people/invite", "/people/revoke", "/people/renew"):
            refused(one.post(page, round="1", role="owner", account="1"), 403)
    refused(ada.post("/validate", example="1", label="1"), 400)
    assert [one.verdict(held.rule) for one in held.examples.of_round(1)] == ["open"]


def test_an_unknown_token_opens_nothing(tmp_path: Path) -> None:
    held = arena(tmp_path)
    eve = Person(held)
    for token in ("unknown", "../../etc/passwd", "%00", "' OR 1=1 --"):
        assert eve.get(f"/join/{token}").status_code in (400, 404)
    csrf = field_of(eve.get(f"/join/{held.accounts.invite('annotator')}").text, "csrf")
    refused(eve.post("/join", csrf=csrf, token="unknown", name="Eve"), 400)
    assert held.accounts.all() == []


def test_looking_at_an_invitation_does_not_use_it_up(tmp_path: Path) -> None:
    held = arena(tmp_path)
    token = held.accounts.invite("annotator")
    Person(held).get(f"/join/{token}")  # as the preview of a mail program does
    ada = Person(held)
    page = ada.get(f"/join/{token}")
    assert page.headers["referrer-policy"] == "strict-origin"
    again = {"csrf": field_of(page.text, "csrf"), "token": token, "name": "Ada"}
    refused(Person(held).post("/join", **again), 403)  # of another browser
    assert ada.post("/join", **again).status_code == 303
    refused(Person(held).get(f"/join/{token}"), 400)


def test_a_session_is_signed_and_ends(tmp_path: Path) -> None:
    held = arena(tmp_path)
    ada = Person(held)
    said = ada.join("annotator", "Ada").headers["set-cookie"].lower()
    assert all(part in said for part in ("httponly", "samesite=strict", "path=/"))
    cookie = ada.browser.cookies[held.cookie]
    assert ada.get("/write").status_code == 200
    other = Person(held)
    for forged in (cookie[:-1] + "0", cookie.replace("1-0-", "2-0-"), "1-0-9999999999.", ""):
        other.browser.cookies.set(held.cookie, forged, domain="127.0.0.1")
        refused(other.get("/write"), 401)
        other.browser.cookies.clear()
    assert ada.post("/leave").status_code == 303
    other.browser.cookies.set(held.cookie, cookie, domain="127.0.0.1")
    refused(other.get("/write"), 401)


def test_a_cookie_travels_by_https_alone_beyond_this_machine(tmp_path: Path) -> None:
    held = arena(tmp_path, origins=("https://arena.example",))
    ada = Person(held)
    ada.browser.base_url = "https://arena.example"  # type: ignore[assignment]
    page = ada.get(f"/join/{held.accounts.invite('owner')}")
    said = page.headers["set-cookie"]
    assert said.startswith("__Host-bench-arena=")
    assert "secure" in said.lower()
    assert "max-age" in page.headers["strict-transport-security"]


def test_who_is_revoked_is_out_at_once(tmp_path: Path) -> None:
    held = arena(tmp_path)
    owner, ada = person(held, "owner", "Olga"), person(held, "annotator", "Ada")
    owner.post("/people/revoke", account="2")
    refused(ada.get("/write"), 401)
    refused(owner.post("/people/revoke", account="1"), 400)
    refused(owner.post("/people/revoke", account="77"), 400)
    assert owner.get("/people").status_code == 200


def test_a_pass_phrase_is_asked_for(tmp_path: Path) -> None:
    held = arena(tmp_path, passphrase="correct horse battery")
    refused(Person(held).join("annotator", "Ada"), 400)
    refused(Person(held).join("annotator", "Ada", passphrase="wrong horse battery"), 400)
    assert held.accounts.all() == []
    joined = Person(held).join("annotator", "Ada", passphrase="correct horse battery")
    assert joined.status_code == 303


def test_nobody_tries_for_ever(tmp_path: Path) -> None:
    held = arena(tmp_path, joins=Limit(5, lambda: 0.0), writes=Limit(2, lambda: 0.0))
    ada = person(held, "annotator", "Ada")
    assert [ada.write(f"good {n}", 1).status_code for n in range(3)] == [303, 303, 429]
    tries = [Person(held).get("/join/unknown").status_code for _ in range(7)]
    assert tries == [400] * 5 + [429] * 2
    assert Person(held).join("annotator", "Bea").status_code == 303  # and keeps nobody out


def test_a_pass_phrase_is_not_tried_for_ever(tmp_path: Path) -> None:
    held = arena(tmp_path, passphrase="correct horse battery", joins=Limit(5, lambda: 0.0))
    eve, token = Person(held), held.accounts.invite("annotator")
    form = {"csrf": field_of(eve.get(f"/join/{token}").text, "csrf"), "token": token, "name": "Eve"}
    tries = [eve.post("/join", **form, passphrase=f"{n}").status_code for n in range(5)]
    assert tries == [400] * 4 + [429]
    assert held.accounts.all() == []
