"""A hub of one's own on loopback: as much of the protocol as huggingface_hub's client needs.

Repositories of models, data sets and spaces with commits, listed, downloaded and written to. Large
files, if they are told apart, go by LFS's basic transfer.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from bench import hub

if TYPE_CHECKING:
    import pytest

Files = dict[str, bytes]


@dataclass
class Repository:
    """What somebody has pushed: every commit's files, the newest last."""

    private: bool = False
    sdk: str | None = None
    commits: dict[str, Files] = field(default_factory=dict)

    def commit(self, files: Files) -> str:
        """Adds files to those of the newest commit, whose name follows from what it holds."""
        whole = {**self.files(), **files}
        listed = json.dumps([[name, _sum(data)] for name, data in whole.items()])
        name = hashlib.sha1(f"{len(self.commits)}{listed}".encode()).hexdigest()
        self.commits[name] = whole
        return name

    def files(self) -> Files:
        return next(reversed(self.commits.values()), {})

    def find(self, revision: str) -> str | None:
        """The commit of a branch or of a commit's name; there is one branch."""
        if revision == "main":
            return next(reversed(self.commits), None)
        return revision if revision in self.commits else None


@dataclass
class LoopbackHub:
    """The hub.

    Attributes:
        url: Where it listens.
        repositories: By type (`models`, `datasets`, `spaces`) and name.
        asked: Method and path of every request.
        large: Bytes from which on a file goes by LFS; `None` for never.
        token: What whoever writes has to show.
    """

    url: str = ""
    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    large: int | None = None
    token: str = "hf_loopback"
    objects: Files = field(default_factory=dict)

    def put(self, kind: str, name: str, files: Files) -> str:
        """Commits to a repository, made if it is not there; gives the commit."""
        return self.repositories.setdefault((kind, name), Repository()).commit(files)

    def get(self, kind: str, name: str) -> Repository:
        return self.repositories[kind, name]


def _sum(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


def files_of(folder: Path, prefix: str = "") -> Files:
    """The files of a folder, by their paths in it."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {f"{prefix}{path.relative_to(folder).as_posix()}": path.read_bytes() for path in paths}


@contextlib.contextmanager
def loopback_hub(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[LoopbackHub]:
    """Starts a hub that all of this process takes for the only one, with a cache of its own."""
    served = LoopbackHub()

    class Handler(_Handler):
        hub = served

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    template = served.url + "/{repo_id}/resolve/{revision}/{filename}"
    constants = {
        "ENDPOINT": served.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": template,
        "HF_HUB_CACHE": str(cache),
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": False,
    }
    for name, value in constants.items():
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("datasets.config.HF_DATASETS_OFFLINE", False, raising=False)
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("HF_TOKEN", served.token)
    hub.reachable.cache_clear()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        hub.reachable.cache_clear()


class _Handler(BaseHTTPRequestHandler):
    hub: LoopbackHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """A hub that writes nothing."""

    def do_HEAD(self) -> None:
        self._get()

    def do_GET(self) -> None:
        self._get()

    def do_PUT(self) -> None:
        self._note()
        self.hub.objects[self.path.rpartition("/")[2]] = self._body()
        self._answer({})

    def do_POST(self) -> None:
        path = self._note()
        body = self._body()
        if path == "/api/validate-yaml":
            return self._answer({"errors": [], "warnings": []})
        if self.headers.get("authorization") != f"Bearer {self.hub.token}":
            return self._fail(HTTPStatus.UNAUTHORIZED, None)
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if found := re.fullmatch(r"/(?:(datasets|spaces)/)?(.+)\.git/info/lfs/objects/batch", path):
            return self._batch(json.loads(body))
        found = re.fullmatch(r"/api/(models|datasets|spaces)/(.+)/(preupload|commit)/([^/]+)", path)
        if found is None or (found[1], found[2]) not in self.hub.repositories:
            return self._fail(HTTPStatus.NOT_FOUND, "RepoNotFound")
        if found[3] == "preupload":
            large = float("inf") if self.hub.large is None else self.hub.large
            files = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["size"] >= large else "regular",
                    "shouldIgnore": False,
                }
                for file in json.loads(body)["files"]
            ]
            return self._answer({"files": files})
        return self._commit(found[1], found[2], body)

    def _create(self, asked: dict[str, Any]) -> None:
        kind = f"{asked.get('type', 'model')}s"
        name = (
            f"{asked['organization']}/{asked['name']}"
            if asked.get("organization")
            else asked["name"]
        )
        there = (kind, name) in self.hub.repositories
        made = Repository(asked.get("visibility") == "private", asked.get("sdk"))
        made.commit({".gitattributes": b""})
        self.hub.repositories.setdefault((kind, name), made)
        prefix = "" if kind == "models" else f"{kind}/"
        answer = {"url": f"{self.hub.url}/{prefix}{name}", "name": name}
        self._answer(answer, HTTPStatus.CONFLICT if there else HTTPStatus.OK)

    def _batch(self, asked: dict[str, Any]) -> None:
        objects = [
            {
                "oid": one["oid"],
                "size": one["size"],
                "actions": {"upload": {"href": f"{self.hub.url}/objects/{one['oid']}"}},
            }
            for one in asked["objects"]
        ]
        self._answer({"transfer": "basic", "objects": objects})

    def _commit(self, kind: str, repository: str, body: bytes) -> None:
        added: Files = {}
        for line in body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                added[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                data = self.hub.objects[value["oid"]]
                assert hashlib.sha256(data).hexdigest() == value["oid"]
                added[value["path"]] = data
        name = self.hub.get(kind, repository).commit(added)
        place = f"{self.hub.url}/{'' if kind == 'models' else f'{kind}/'}{repository}"
        self._answer({"commitUrl": f"{place}/commit/{name}", "commitOid": name})

    def _get(self) -> None:
        path = self._note()
        if path == "/":
            return self._answer({})
        kinds = "models|datasets|spaces"
        asked = rf"/api/({kinds})/(.+?)(?:/(revision|tree)/([^/]+)(?:/(.+?))?)?/?"
        if found := re.fullmatch(asked, path):
            return self._info(found)
        found = re.fullmatch(r"/(?:(datasets|spaces)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if found is None:
            return self._fail(HTTPStatus.NOT_FOUND, "EntryNotFound")
        repository, commit = self._found(found[1] or "models", found[2], found[3])
        if repository is None or commit is None:
            return None
        data = repository.commits[commit].get(found[4])
        if data is None:
            return self._fail(HTTPStatus.NOT_FOUND, "EntryNotFound")
        etag = f'"{_sum(data)}"'
        return self._send(data, "application/octet-stream", {"X-Repo-Commit": commit, "ETag": etag})

    def _info(self, found: re.Match[str]) -> None:
        kind, name, what, revision, under = found.groups()
        repository, commit = self._found(kind, name, revision or "main")
        if repository is None or commit is None:
            return None
        files = repository.commits[commit]
        if under is not None:
            files = {path: data for path, data in files.items() if path.startswith(f"{under}/")}
            if not files:
                return self._fail(HTTPStatus.NOT_FOUND, "EntryNotFound")
        if what == "tree":
            return self._answer([
                {"type": "file", "path": path, "size": len(data), "oid": _sum(data)}
                for path, data in files.items()
            ])  # fmt: skip
        siblings = [{"rfilename": path} for path in files]
        known = {"id": name, "sha": commit, "private": repository.private, "siblings": siblings}
        return self._answer({**known, "tags": [], "downloads": 0, "likes": 0})

    def _found(self, kind: str, name: str, revision: str) -> tuple[Repository | None, str | None]:
        repository = self.hub.repositories.get((kind, unquote(name)))
        allowed = self.headers.get("authorization") == f"Bearer {self.hub.token}"
        if repository is None or (repository.private and not allowed):
            self._fail(HTTPStatus.UNAUTHORIZED, "RepoNotFound")
            return None, None
        commit = repository.find(unquote(revision))
        if commit is None:
            self._fail(HTTPStatus.NOT_FOUND, "RevisionNotFound")
        return repository, commit

    def _note(self) -> str:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        return path

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline().strip(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def _answer(self, value: Any, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send(json.dumps(value).encode(), "application/json", {}, status)

    def _fail(self, status: HTTPStatus, code: str | None) -> None:
        self._send(b"{}", "application/json", {"X-Error-Code": code} if code else {}, status)

    def _send(
        self, data: bytes, kind: str, heads: dict[str, str], status: HTTPStatus = HTTPStatus.OK
    ) -> None:
        self.send_response(status)
        for name, value in {
            **heads,
            "Content-Type": kind,
            "Content-Length": str(len(data)),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
