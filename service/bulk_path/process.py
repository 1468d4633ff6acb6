"""A process that checks and prepares batches. It opens no lake and holds no key.

What only the lake knows it asks for, by the pipe that batches come by: the number of a text, a
StructureDefinition, whether a code is of a value set. Each is asked for once a batch at most.
"""

from __future__ import annotations

import gc
from collections.abc import Hashable
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from schemas.outcomes import FhirError, Issue
from schemas.param_set import ParamSet
from schemas.profiles.validator import Profiles
from schemas.summary import subset_issues
from service.bulk_path.accepting import Checked, accept
from service.validation import Validation
from storage.index import DirectRows


class Work(NamedTuple):
    """A batch of bodies, and what the lake is when it is checked.

    `stamp` tells whether definitions of the lake changed since the batch before; `params` are its
    search parameters where those changed, with their number `definitions`.
    """

    bodies: list[bytes]
    stamp: Hashable
    definitions: int
    params: ParamSet | None


class Question(NamedTuple):
    """What only the lake knows: `asked` is `term`, `definition` or `contains`."""

    asked: str
    arguments: tuple[Any, ...]


class Bench:
    """What a process checks and prepares with; `ask` answers questions."""

    def __init__(self, ask: Any, level: str, default_profiles: str) -> None:
        self._ask = ask
        self._terms: dict[str, int] = {}
        self._answers: dict[tuple[Any, ...], Any] = {}
        self._stamp: Hashable = None
        self._rows = DirectRows(self._term)
        profiles = Profiles(
            lambda canonical: ask(Question("definition", (canonical,))),
            lambda: self._contains,
            lambda: self._stamp,
        )
        self._validation = Validation(profiles, level=level, default_profiles=default_profiles)

    def do(self, work: Work) -> Checked:
        """Check and prepare a batch."""
        if work.params is not None:
            self._rows.use(work.params)
        self._stamp = work.stamp
        self._answers.clear()
        return accept(work.bodies, self._check, self._rows, work.definitions)

    def _check(self, resource: dict[str, Any], kind: str) -> list[Issue]:
        """As `Ingest.check`."""
        issues = self._validation.check(resource, kind)
        if cut := subset_issues(resource):
            raise FhirError("unprocessable", cut)
        return issues

    def _term(self, text: str) -> int:
        found = self._terms.get(text)
        if found is None:
            if len(self._terms) >= _MOST_TERMS:
                self._terms.clear()
            found = self._terms[text] = int(self._ask(Question("term", (text,))))
        return found

    def _contains(self, *arguments: Any) -> Any:
        if arguments not in self._answers:
            self._answers[arguments] = self._ask(Question("contains", arguments))
        return self._answers[arguments]


# A resource of an import may have a system of its own.
_MOST_TERMS = 100_000


def run(pipe: Connection, level: str, default_profiles: str) -> None:
    """Do what comes by the pipe until it ends."""

    def ask(question: Question) -> Any:
        pipe.send(question)
        return pipe.recv()

    bench = Bench(ask, level, default_profiles)
    # Resources have no cycles: looking for some costs a third of the time, and finds none.
    gc.disable()
    gc.freeze()
    try:
        while True:
            pipe.send(bench.do(pipe.recv()))
            gc.collect()
    except (EOFError, OSError):
        return  # The service has ended, or needs this process no more.
