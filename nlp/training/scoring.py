"""Exact and partial match of a recogniser on annotated documents."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nlp.models.recogniser import Recogniser
from nlp.training.corpora import Annotated
from nlp.training.examples import sentence_spans


@dataclass(slots=True)
class Tally:
    """Mentions of one kind: annotated, found, and those that agree."""

    gold: int = 0
    found: int = 0
    exact: int = 0
    # Annotated ones that something found of the kind touches, and the other way round.
    gold_touched: int = 0
    found_touched: int = 0

    def add(self, other: "Tally") -> None:
        """Sum."""
        self.gold += other.gold
        self.found += other.found
        self.exact += other.exact
        self.gold_touched += other.gold_touched
        self.found_touched += other.found_touched

    @property
    def precision(self) -> float:
        """Of what was found, the share that is right in span and type."""
        return self.exact / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        """Of what was annotated, the share that was found with the same span and type."""
        return self.exact / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of both."""
        return 2 * self.exact / (self.gold + self.found) if self.gold + self.found else 0.0

    @property
    def partial_f1(self) -> float:
        """The same where any overlap with one of the same type is enough."""
        if not self.gold_touched or not self.found_touched:
            return 0.0
        recall, precision = self.gold_touched / self.gold, self.found_touched / self.found
        return 2 * precision * recall / (precision + recall)


def sum_of(kinds: Mapping[str, Tally]) -> Tally:
    """All kinds together."""
    total = Tally()
    for tally in kinds.values():
        total.add(tally)
    return total


@dataclass(slots=True)
class Report:
    """Tallies by kind and by document; `scored`: kind, score and truth of each mention found."""

    kinds: dict[str, Tally] = field(default_factory=dict)
    scored: list[tuple[str, float, bool]] = field(default_factory=list)
    documents: list[dict[str, Tally]] = field(default_factory=list)

    @property
    def micro(self) -> Tally:
        """All kinds together."""
        return sum_of(self.kinds)


def score(recogniser: Recogniser, documents: Sequence[Annotated]) -> dict[str, Report]:
    """A report for each scheme, over the documents annotated in it."""
    reports: dict[str, Report] = {}
    for document in documents:
        name = document.scheme.name
        report = reports.setdefault(name, Report())
        found = recogniser.find(document.text, sentence_spans(document.text), (name,))[name]
        spans = Counter((f.begin, f.end, f.kind) for f in found)
        gold = {(g.begin, g.end, g.kind) for g in document.gold}
        whole: dict[str, Tally] = {}
        for kind in document.scheme.types:
            tally = Tally(
                gold=sum(g[2] == kind for g in gold),
                found=sum(f[2] == kind for f in spans),
                exact=sum(f[2] == kind for f in spans if f in gold),
                gold_touched=sum(_touched(g, spans) for g in gold if g[2] == kind),
                found_touched=sum(_touched(f, gold) for f in spans if f[2] == kind),
            )
            whole[kind] = tally
            report.kinds.setdefault(kind, Tally()).add(tally)
        report.documents.append(whole)
        report.scored += [(f.kind, f.score, (f.begin, f.end, f.kind) in gold) for f in found]
    return reports


def _touched(one: tuple[int, int, str], others: object) -> bool:
    return any(
        o[2] == one[2] and o[0] < one[1] and one[0] < o[1]
        for o in others  # type: ignore[attr-defined]
    )
