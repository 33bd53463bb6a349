"""`nox` runs `lint` and `tests`, `nox -s slow` the long tests.

`nox -s docs` builds a site, `nox -s build` a release, and `nox -s wheel` tries it on every Python.
"""

import sys
from pathlib import Path

import nox

nox.options.sessions = ["lint", "tests"]
nox.options.reuse_existing_virtualenvs = True

PARALLEL = ("--numprocesses", "auto", "--maxprocesses", "4", "--dist", "loadfile",
            "--no-loadscope-reorder")  # fmt: skip
SITE = ("zensical", "mkdocstrings-python")
TEXTPRUNER = "textpruner==1.1.post2"  # asks for a numpy that no longer builds: without dependencies


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: rules and format. import-linter: which room may use which."""
    session.install("-c", "constraints.txt", "ruff")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    if sys.version_info >= (3, 11):  # import-linter has no release for Python 3.10
        session.install("-c", "constraints.txt", "import-linter")
        session.run("lint-imports")


@nox.session
def tests(session: nox.Session) -> None:
    """Mypy, the quick tests, with the extras and the example plugin, and the published pages."""
    _install(session)
    session.run("mypy")
    session.run("pytest", *PARALLEL, "-m", "not slow", *session.posargs)
    session.run("bench", "leaderboard", "--check")
    session.run("bench", "validate", "leaderboards")


@nox.session(default=False)
def slow(session: nox.Session) -> None:
    """The tests that are long by nature: simulations, kills of whole runs, real input."""
    _install(session, "ray")
    session.install("-c", "constraints.txt", *SITE)
    session.run("pytest", *PARALLEL, "-m", "slow", *session.posargs)


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """The documentation as a site: `build/html/index.html`."""
    session.install("-c", "constraints.txt", "setuptools", ".", *SITE)
    session.run("python", "docs/site.py", "stage", "build/site")
    session.run("zensical", "build", "--clean", "--strict")
    session.run("python", "docs/site.py", "check", "build/html")


@nox.session(default=False)
def build(session: nox.Session) -> None:
    """The release, checked: a wheel and an sdist in `dist/`."""
    session.install("-c", "constraints.txt", "build", "setuptools", "twine")
    for old in Path("dist").glob("prunebench-*"):
        old.unlink()
    session.run("python", "-m", "build", "--no-isolation")
    session.run("twine", "check", "--strict", *map(str, Path("dist").glob("prunebench-*")))


@nox.session(default=False, python=["3.10", "3.11", "3.12", "3.13"])
def wheel(session: nox.Session) -> None:
    """The demo from the wheel that `build` made, in an empty folder."""
    found = next(Path("dist").glob("prunebench-*.whl")).resolve()
    constraints = Path("constraints.txt").resolve()
    session.install("-c", str(constraints), str(found), *session.posargs)
    session.install("--no-deps", TEXTPRUNER)
    session.chdir(session.create_tmp())
    session.run("bench", "doctor")
    session.run("bench", "run")


def _install(session: nox.Session, *more: str) -> None:
    """Installs the package as a user would, and what its tests need."""
    usual = "arena,dev,engines,grpc,html,mlflow,postgres,tensorboard,trackio,wandb"
    extras = ",".join([usual, *more])
    session.install("-c", "constraints.txt", "setuptools", f".[{extras}]")
    session.install("--no-deps", TEXTPRUNER)
    session.install("--no-deps", "--no-build-isolation", "./tests/plugin")
