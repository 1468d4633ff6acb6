"""Dosage on tables of instructions: the part of the fields that are right, with its interval.

A table (`tests/nlp/golden/sigs.tsv`) has an instruction and what it says on each line:

    1-2 tabs q4-6h prn pain <tab> dose 1-2 tablet; freq 1/4-6h; prn pain

Clauses are parted by ` | ` where they hold at the same time, by ` >> ` where they follow one
another. Fields: dose, rate, freq (times/period), when, days, time, count, for (bounds), over,
route, prn (`yes` or the reason), max, note and site (words that must be among those kept).
`freq` is left out where it is once a day at each `when` or `time`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from nlp.dosage import parse
from nlp.evaluation import figure
from nlp.evaluation.scores import Scores, bootstrap_interval

ROUTES = {
    "26643006": "PO", "47625008": "IV", "78421000": "IM", "34206005": "SC", "37839007": "SL",
    "37161004": "PR", "6064005": "TOP", "46713006": "NASAL", "447694001": "INH",
    "54485002": "EYE", "10547007": "EAR", "45890007": "TD", "16857009": "VAG", "54471007": "BUC",
    "372464004": "ID", "72607000": "IT", "127492001": "NG", "127490009": "GT", "127491008": "JT",
    "404820008": "EPI", "418401004": "IVT", "12130007": "IA",
}  # fmt: skip
# Words that the parser keeps as written: asked for where the table has them, else not scored.
_WORDS = frozenset(("note", "site"))
TABLE = Path(__file__).parents[2] / "tests" / "nlp" / "golden" / "sigs.tsv"

Fields = dict[str, str]


def _number(value: Decimal) -> str:
    return f"{Decimal(value).normalize():f}"


def _range(low: Any, high: Any) -> str:
    first = _number(low) if low is not None else ""
    return first if high is None else f"{first}-{_number(high)}"


def _amount(found: dict[str, Any], name: str) -> str | None:
    if f"{name}Quantity" in found:
        quantity = found[f"{name}Quantity"]
        return f"{_number(quantity['value'])} {quantity.get('unit', '')}".strip()
    if f"{name}Range" in found:
        low, high = found[f"{name}Range"].get("low", {}), found[f"{name}Range"]["high"]
        return f"{_range(low.get('value'), high['value'])} {high.get('unit', '')}".strip()
    return None


def _timing(repeat: dict[str, Any]) -> Fields:
    found: Fields = {}
    when, times = repeat.get("when", []), repeat.get("timeOfDay", [])
    if "period" in repeat:
        often = _range(repeat["frequency"], repeat.get("frequencyMax"))
        period = _range(repeat["period"], repeat.get("periodMax"))
        found["freq"] = f"{often}/{'' if period == '1' else period}{repeat['periodUnit']}"
        if (when or times) and found["freq"] == f"{len(when or times)}/d":
            del found["freq"]
    if when:
        found["when"] = ",".join(when)
        if "offset" in repeat:
            found["when"] += f"-{repeat['offset']}"
    if times:
        found["time"] = ",".join(time[:5] for time in times)
    if "dayOfWeek" in repeat:
        found["days"] = ",".join(repeat["dayOfWeek"])
    if "count" in repeat:
        found["count"] = _range(repeat["count"], repeat.get("countMax"))
    if "duration" in repeat:
        length = _range(repeat["duration"], repeat.get("durationMax"))
        found["over"] = f"{length}{repeat['durationUnit']}"
    if "boundsDuration" in repeat:
        bounds = repeat["boundsDuration"]
        found["for"] = f"{_number(bounds['value'])}{bounds['code']}"
    if "boundsRange" in repeat:
        low, high = repeat["boundsRange"].get("low", {}), repeat["boundsRange"]["high"]
        found["for"] = f"{_range(low.get('value'), high['value'])}{high['code']}"
    return found


def fields_of(dosage: dict[str, Any]) -> Fields:
    """The fields of one `Dosage` in the notation of the table."""
    found: Fields = {}
    amounts = dosage.get("doseAndRate", [{}])[0]
    for name in ("dose", "rate"):
        amount = _amount(amounts, name)
        if amount is not None:
            found[name] = amount
    found |= _timing(dosage.get("timing", {}).get("repeat", {}))
    if "route" in dosage:
        coding = dosage["route"].get("coding", [{}])[0]
        found["route"] = ROUTES.get(coding.get("code", ""), dosage["route"]["text"])
    if dosage.get("asNeededBoolean"):
        found["prn"] = "yes"
    if "asNeededCodeableConcept" in dosage:
        found["prn"] = dosage["asNeededCodeableConcept"]["text"].lower()
    if "maxDosePerPeriod" in dosage:
        top, per = (dosage["maxDosePerPeriod"][k] for k in ("numerator", "denominator"))
        amount = f"{_number(top['value'])} {top.get('unit', '')}".strip()
        found["max"] = f"{amount}/{_number(per['value'])}{per['code']}"
    if "maxDosePerAdministration" in dosage:
        top = dosage["maxDosePerAdministration"]
        found["max"] = f"{_number(top['value'])} {top.get('unit', '')}".strip() + "/dose"
    if "additionalInstruction" in dosage:
        found["note"] = " + ".join(note["text"].lower() for note in dosage["additionalInstruction"])
    if "site" in dosage:
        found["site"] = dosage["site"]["text"].lower()
    return found


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: the instruction, its clauses, and which follow the one before."""

    sig: str
    clauses: tuple[Fields, ...]
    sequences: tuple[int, ...]


def _fields(written: str) -> Fields:
    found: Fields = {}
    for item in written.split(";"):
        name, _, value = item.strip().partition(" ")
        if name and name != "-":
            found[name] = (
                value.strip().lower() if name in ("prn", "note", "site") else value.strip()
            )
    occasions = found.get("when", found.get("time", "")).count(",") + 1
    if ("when" in found or "time" in found) and found.get("freq") == f"{occasions}/d":
        del found["freq"]
    return found


def row(sig: str, written: str) -> Row:
    """A row from its two cells."""
    clauses: list[Fields] = []
    sequences: list[int] = []
    for number, stage in enumerate(written.split(" >> "), start=1):
        for clause in stage.split(" | "):
            clauses.append(_fields(clause))
            sequences.append(number)
    return Row(sig, tuple(clauses), tuple(sequences))


def rows(path: Path) -> Iterator[Row]:
    """The rows of a table, without comments and blank lines; ValueError names a bad line."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("# "):
            continue
        sig, tab, written = line.partition("\t")
        if not tab:
            raise ValueError(f"{path.name} line {number}: no tab between sig and fields")
        yield row(sig.replace("\\n", "\n"), written)


@dataclass(slots=True)
class Result:
    """What came of one row: how many fields, how many right, and the wrong ones by name."""

    right: int = 0
    total: int = 0
    wrong: list[tuple[str, str | None, str | None]] = field(default_factory=list)

    def add(self, name: str, expected: str | None, found: str | None) -> None:
        """Count one field."""
        self.total += 1
        if name in _WORDS:
            agreed = all(word in (found or "") for word in (expected or "").split(" + "))
        else:
            agreed = expected == found
        if agreed:
            self.right += 1
        else:
            self.wrong.append((name, expected, found))


def compare(expected: Row, dosages: Sequence[dict[str, Any]]) -> Result:
    """Each field of each clause once; the number and order of clauses is one field more."""
    result = Result()
    found = [fields_of(dosage) for dosage in dosages]
    sequences = [dosage.get("sequence", 1) for dosage in dosages]
    if len(expected.clauses) > 1 or len(found) > 1:
        result.add("sequence", str(list(expected.sequences)), str(sequences))
    for at in range(max(len(found), len(expected.clauses))):
        theirs = expected.clauses[at] if at < len(expected.clauses) else {}
        ours = found[at] if at < len(found) else {}
        for name in sorted({*theirs, *ours}):
            if name in _WORDS and name not in theirs:
                continue
            result.add(name, theirs.get(name), ours.get(name))
    return result


def score(table: Iterable[Row]) -> list[tuple[Row, Result]]:
    """Each row with its result."""
    return [(expected, compare(expected, parse(expected.sig))) for expected in table]


AMOUNTS = frozenset(("dose", "rate", "max"))


def wrong_amounts(scored: Iterable[tuple[Row, Result]]) -> list[tuple[str, str, str | None, str]]:
    """What is worst: a dose, rate or maximum that is given and is not the one that is meant."""
    return [
        (expected.sig, name, told, found)
        for expected, result in scored
        for name, told, found in result.wrong
        if name in AMOUNTS and found is not None
    ]


def _scores(results: Iterable[Result]) -> list[Scores]:
    return [Scores(r.right, 0, r.total - r.right) for r in results]


def accuracy(scored: Iterable[tuple[Row, Result]]) -> float:
    """The part of all fields that is right."""
    total = Scores()
    for scores in _scores(result for _, result in scored):
        total.add(scores)
    return total.recall


def sigs(folder: Path) -> figure.Result:
    """The table of practice that is kept with the tests; `folder` is not used.

    Raises SystemExit where the source code with its tests is not at hand.
    """
    if not TABLE.is_file():
        raise SystemExit(f"the table of instructions is not installed: {TABLE}")
    scored = score(rows(TABLE))
    results = [result for _, result in scored]
    per_sig = _scores(results)
    low, high = bootstrap_interval(per_sig, lambda s: s.recall)
    share = accuracy(scored)
    fields = sum(result.total for result in results)
    whole = [Scores(not r.wrong, 0, bool(r.wrong)) for r in results]
    total = sum(s.true_positives for s in whole) / len(whole)
    whole_low, whole_high = bootstrap_interval(whole, lambda s: s.recall)
    figures = [
        figure.Figure("sigs", "all fields", "accuracy", share, low, high, fields),
        figure.Figure(
            "sigs", "whole instructions", "accuracy", total, whole_low, whole_high, len(whole)
        ),
        figure.Figure("sigs", "amounts given wrong", "count", len(wrong_amounts(scored))),
    ]
    errors: dict[str, Counter[str]] = {}
    for expected, result in scored:
        for name, told, found in result.wrong:
            words = f"{expected.sig}: {told}, found {found}"
            errors.setdefault(f"{name} wrong", Counter())[words] += 1
    return figure.Result(figures, {kind: found.most_common() for kind, found in errors.items()})
