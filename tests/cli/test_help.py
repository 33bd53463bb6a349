"""What `--help` says: every command ends with examples, and every example can be said."""

from __future__ import annotations

import pytest

from bench.cli.main import COMMANDS, parser
from bench.cli.output import EXAMPLES


@pytest.mark.parametrize("command", COMMANDS)
def test_help_ends_with_examples_that_can_be_said(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args([command, "--help"])
    assert ended.value.code == 0
    _, _, shown = capsys.readouterr().out.partition(f"\n{EXAMPLES}\n")
    lines = shown.replace("\\\n", " ").strip().splitlines()
    assert 1 <= len(lines) <= 3
    for line in lines:
        program, *words = line.split()
        assert (program, words[0]) == ("bench", command)
        parser().parse_args(words)
