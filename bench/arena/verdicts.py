"""When an example counts: enough of those who did not see the answers say what its author says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.errors import BenchError

Verdict = Literal["validated", "rejected", "open"]


@dataclass(frozen=True)
class Rule:
    """How many have to agree.

    Attributes:
        votes: Validators of an example at most.
        agreeing: How many of them have to give its author's label.

    Raises:
        BenchError: It could never be met.
    """

    votes: int = 3
    agreeing: int = 2

    def __post_init__(self) -> None:
        if not 1 <= self.agreeing <= self.votes:
            raise BenchError(
                f"{self.agreeing} of {self.votes} validators cannot agree: at least 1, and no more "
                "than there are."
            )

    def verdict(self, label: int, votes: Sequence[int | None]) -> Verdict:
        """What becomes of an example.

        Args:
            label: Its author's.
            votes: Those of the validators; `None` where one cannot tell.
        """
        agreeing = sum(vote == label for vote in votes)
        if agreeing >= self.agreeing:
            return "validated"
        left = self.votes - len(votes)
        return "open" if agreeing + left >= self.agreeing else "rejected"
