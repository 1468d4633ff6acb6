"""What an answer says of itself: its commit, and what an erasure has taken out of it since.

Every answer names its commit in the header `Chartlake-Commit`; asked again as of that commit it is
the same, but for what was erased, which `Chartlake-Erasures` and the answer itself then say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from schemas.outcomes import Issue, operation_outcome
from storage.lake import Lake

COMMIT_HEADER = "Chartlake-Commit"
ERASURES_HEADER = "Chartlake-Erasures"


@dataclass(frozen=True)
class Notice:
    """What an answer as of commit `t` says of itself; `erasures` took something out of it."""

    t: int
    erasures: int

    @property
    def headers(self) -> dict[str, str]:
        """`Chartlake-Commit`, and `Chartlake-Erasures` where there were any."""
        said = {COMMIT_HEADER: str(self.t)}
        return {**said, ERASURES_HEADER: str(self.erasures)} if self.erasures else said

    @property
    def warnings(self) -> list[str]:
        """What is to be said besides the answer, for people."""
        return [erasure_warning(self.t, self.erasures)] if self.erasures else []

    @property
    def issues(self) -> list[Issue]:
        """The same as issues of an OperationOutcome."""
        return [Issue("warning", "incomplete", text, ()) for text in self.warnings]

    @property
    def outcome(self) -> dict[str, Any] | None:
        """The same as an OperationOutcome; None where there is nothing to say."""
        return operation_outcome(self.issues) if self.erasures else None


def erasure_warning(t: int, erasures: int) -> str:
    """That answers as of a commit are no longer whole."""
    times = "once" if erasures == 1 else f"{erasures} times"
    return (
        f"Resources were erased for good {times} since commit {t}: this answer lacks what was "
        "erased."
    )


def notice(lake: Lake, t: int, *, past: bool) -> Notice:
    """What to say of an answer as of `t`; `past`: it was asked for that commit, not for now."""
    return Notice(t, lake.erasures_since(t) if past else 0)
