"""The protocol's hash."""

from __future__ import annotations

import dataclasses

from bench.protocol import Protocol


def test_every_field_is_in_the_hash() -> None:
    base = Protocol(epochs=3, trials=0, precision="fp32")
    others = [
        dataclasses.replace(base, **{field.name: "bf16" if field.name == "precision" else 99})
        for field in dataclasses.fields(base)
    ]
    assert len({base.hash, *(other.hash for other in others)}) == len(others) + 1
    assert base.hash == Protocol(epochs=3, trials=0, precision="fp32").hash


def test_a_default_that_changes_gives_other_hashes() -> None:
    """Or a folder of the version before would be taken for done."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Next(Protocol):
        version: int = Protocol.version + 1
        batch_size: int = 64

    now = Protocol(epochs=3, trials=0, precision="fp32")
    later = Next(epochs=3, trials=0, precision="fp32")
    alike = dataclasses.replace(later, batch_size=now.batch_size)
    assert len({now.hash, later.hash, alike.hash}) == 3


def test_the_hashes_of_older_records_stay() -> None:
    """What a later version asks for has, in an older one, the value that was implied."""
    old = Protocol(epochs=3, trials=0, precision="fp32", overlap="kept", version=2)
    assert old.hash == "ed48f99b5a3f"
