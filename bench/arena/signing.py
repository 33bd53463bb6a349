"""What a browser holds for the server and cannot change: signed by a secret of the server's."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from bench.errors import BenchError
from bench.inputs import read_bytes

BYTES = 32


class Signer:
    """Signs texts, each for one purpose.

    Args:
        secret: 32 random bytes.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def mark(self, purpose: str, text: str) -> str:
        """What nobody without the secret can say of a text."""
        return hmac.new(self._secret, f"{purpose}\0{text}".encode(), hashlib.sha256).hexdigest()

    def sign(self, purpose: str, text: str) -> str:
        """A text with its mark."""
        return f"{text}.{self.mark(purpose, text)}"

    def read(self, purpose: str, signed: str) -> str | None:
        """The text that was signed for a purpose; `None` of anything else."""
        text, _, mark = signed.rpartition(".")
        return text if same(mark, self.mark(purpose, text)) else None


def same(one: str, other: str) -> bool:
    """Whether two texts are the same one, in a time that tells nothing of where they differ."""
    return hmac.compare_digest(one.encode(errors="replace"), other.encode(errors="replace"))


def read_secret(path: Path) -> bytes:
    """The secret of an arena, made when it is first asked for; its owner alone can read it.

    Raises:
        BenchError: The file does not hold one.
        OSError: It cannot be read or written.
    """
    if not path.exists():
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(BYTES))
    path.chmod(0o600)
    secret = read_bytes(path)
    if len(secret) != BYTES:
        raise BenchError(f"{path} holds no secret: remove it, and all log in anew.")
    return secret
