"""What no request gets past, before anything of it is read, and what every response says.

Against other sites that a visitor's browser has open: the host has to be ours (DNS rebinding), what
changes something has to come from our own pages (`Origin`, `Sec-Fetch-Site`), and a page may load
nothing but our style sheet. There is no script.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

MOST_BYTES = 1 << 16
"""Of a form."""

FORM = "application/x-www-form-urlencoded"

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # The origin alone: an address may hold an invitation. Without any, browsers would send forms
    # with the origin "null".
    "referrer-policy": "strict-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Guard:
    """Stands before an application.

    Args:
        application: What is guarded.
        origins: How browsers may reach it, such as `http://127.0.0.1:8321`.
    """

    def __init__(self, application: Application, origins: tuple[str, ...]) -> None:
        self._application = application
        self._origins = frozenset(origins)
        self._hosts = frozenset(origin.partition("://")[2] for origin in origins)
        https = all(origin.startswith("https://") for origin in origins)
        # Browsers would hold every port of a name to it: never of this machine's own.
        strict = https and "localhost" not in {host.partition(":")[0] for host in self._hosts}
        said = {**HEADERS, **({"strict-transport-security": "max-age=31536000"} if strict else {})}
        self._headers = [(name.encode(), value.encode()) for name, value in said.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request through, or answers it."""
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no web sockets
            await send({"type": "websocket.close", "code": 1008})
            return

        async def say(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *self._headers]
            await send(message)

        refusal = self.refusal(scope["method"], scope["headers"])
        if refusal is None:
            await self._application(scope, receive, say)
            return
        status, reason = refusal
        await say(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(b"content-type", b"text/plain; charset=utf-8")],
            }
        )
        await say({"type": "http.response.body", "body": f"{reason}\n".encode()})

    def refusal(self, method: str, headers: list[tuple[bytes, bytes]]) -> tuple[int, str] | None:
        """The status and reason that a request is refused with; `None` where it is not."""
        said: dict[str, list[str]] = {}
        for name, value in headers:
            said.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        hosts = said.get("host", [])
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return 400, "This server does not go by that name."
        if method in ("GET", "HEAD"):
            return self._foreign_look(said)
        if method != "POST":
            return 405, "Only GET and POST are answered."
        return self._foreign_form(said) or _odd_form(said)

    def _foreign_look(self, said: dict[str, list[str]]) -> tuple[int, str] | None:
        """Another site may lead to us, and embed nothing of ours."""
        site, mode = (said.get(f"sec-fetch-{name}", [""])[0] for name in ("site", "mode"))
        if site in ("cross-site", "same-site") and mode != "navigate":
            return 403, "Other sites may embed nothing of this one."
        return None

    def _foreign_form(self, said: dict[str, list[str]]) -> tuple[int, str] | None:
        origin, site = said.get("origin"), said.get("sec-fetch-site")
        if origin is None and site is None:
            return 403, "A form has to say which site it is from."
        if origin is not None and (len(origin) != 1 or origin[0] not in self._origins):
            return 403, "This form is from another site."
        if site is not None and site != ["same-origin"]:
            return 403, "This form is from another site."
        return None


def _odd_form(said: dict[str, list[str]]) -> tuple[int, str] | None:
    kind = said.get("content-type", [""])[0].partition(";")[0].strip().lower()
    if kind != FORM:
        return 415, "Forms alone are taken."
    length = said.get("content-length", [""])[0]
    if "transfer-encoding" in said or not (length.isascii() and length.isdigit()):
        return 411, "A form has to say how long it is."
    if len(length) > 9 or int(length) > MOST_BYTES:
        return 413, "This form is too long."
    return None
