"""Lint, types and tests: `nox` runs all three, `nox -s tests` the latter two."""

import nox

nox.options.sessions = ["lint", "tests"]
nox.options.reuse_existing_virtualenvs = True

PARALLEL = ("--numprocesses", "auto", "--maxprocesses", "4", "--dist", "loadfile",
            "--no-loadscope-reorder")  # fmt: skip
TEXTPRUNER = "textpruner==1.1.post2"  # asks for a numpy that no longer builds: without dependencies


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: rules and format."""
    session.install("-c", "constraints.txt", "ruff")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def tests(session: nox.Session) -> None:
    """Mypy, and all tests, the slow ones included, with the engines and the example plugin.

    One session, since both need all that the package depends on, which takes minutes to install.
    """
    session.install("-c", "constraints.txt", "setuptools", ".[dev,engines]")
    session.install("--no-deps", TEXTPRUNER)
    session.install("--no-deps", "--no-build-isolation", "./tests/plugin")
    session.run("mypy")
    session.run("pytest", *PARALLEL, *session.posargs)
    session.run("bench", "leaderboard", "--check")
