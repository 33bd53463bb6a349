"""Lint, types and tests: `nox` runs all three, `nox -s tests` one of them."""

import nox

nox.options.sessions = ["lint", "types", "tests"]
nox.options.reuse_existing_virtualenvs = True

PARALLEL = ("--numprocesses", "auto", "--maxprocesses", "4", "--dist", "loadfile")
TEXTPRUNER = "textpruner==1.1.post2"  # asks for a numpy that no longer builds: without dependencies


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: rules and format."""
    session.install("-c", "constraints.txt", "ruff")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Mypy, strict, on the packages."""
    _install(session, ".[dev]")
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """All tests, the slow ones included, with the engines and the example plugin installed."""
    _install(session, ".[dev,engines]")
    session.install("--no-deps", "--no-build-isolation", "./tests/plugin")
    session.run("pytest", *PARALLEL, *session.posargs)
    session.run("bench", "leaderboard", "--check")


def _install(session: nox.Session, package: str) -> None:
    session.install("-c", "constraints.txt", "setuptools", package)
    session.install("--no-deps", TEXTPRUNER)
