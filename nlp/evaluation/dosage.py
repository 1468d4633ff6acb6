"""Dosage on tables of instructions: the part of the fields that are right, with its interval.

A table (`tests/nlp/golden/sigs.tsv`) has an instruction and what it says on each line:

    1-2 tabs q4-6h prn pain <tab> dose 1-2 tablet; freq 1/4-6h; prn pain

Clauses are parted by ` | ` where they hold at the same time, by ` >> ` where they follow one
another. Fields: dose, rate, freq (times/period), when, days, time, count, for (bounds), over,
route, prn (`yes` or the reason), max, note and site (words that must be among those kept).
`freq` is left out where it is once a day at each `when` or `time`.
"""

import argparse
import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from nlp.dosage import parse

ROUTES = {
    "26643006": "PO", "47625008": "IV", "78421000": "IM", "34206005": "SC", "37839007": "SL",
    "37161004": "PR", "6064005": "TOP", "46713006": "NASAL", "447694001": "INH",
    "54485002": "EYE", "10547007": "EAR", "45890007": "TD", "16857009": "VAG", "54471007": "BUC",
    "372464004": "ID", "72607000": "IT", "127492001": "NG", "127490009": "GT", "127491008": "JT",
    "404820008": "EPI", "418401004": "IVT", "12130007": "IA",
}  # fmt: skip
# Words that the parser keeps as written: asked for where the table has them, else not scored.
_WORDS = frozenset(("note", "site"))
_RESAMPLES = 2000
_SEED = 20240501

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


def interval(results: Sequence[Result]) -> tuple[float, float, float]:
    """The part of the fields that are right, and its 95 % interval (bootstrap over rows)."""
    draw = random.Random(_SEED)  # noqa: S311 - sampling, no secret
    counts = [(result.right, result.total) for result in results]

    def share(sample: Sequence[tuple[int, int]]) -> float:
        total = sum(count for _, count in sample)
        return sum(right for right, _ in sample) / total if total else 0.0

    shares = sorted(share(draw.choices(counts, k=len(counts))) for _ in range(_RESAMPLES))
    return share(counts), shares[int(0.025 * _RESAMPLES)], shares[int(0.975 * _RESAMPLES) - 1]


def report(table: Iterable[Row]) -> list[str]:
    """Lines for a reader: the whole, by field, and every row that is not wholly right."""
    scored = score(table)
    share, low, high = interval([result for _, result in scored])
    right = sum(result.right for _, result in scored)
    total = sum(result.total for _, result in scored)
    whole = sum(not result.wrong for _, result in scored)
    missed: dict[str, int] = {}
    doses = 0
    for _, result in scored:
        for name, told, found in result.wrong:
            missed[name] = missed.get(name, 0) + 1
            doses += name in ("dose", "rate", "max") and found is not None and told != found
    lines = [
        f"instructions {len(scored)}, wholly right {whole} ({whole / len(scored):.3f})",
        f"fields right {right} of {total} = {share:.3f} [{low:.3f}, {high:.3f}]",
        f"amounts given that are wrong: {doses}",
        "wrong by field: " + (", ".join(f"{n} {c}" for n, c in sorted(missed.items())) or "none"),
    ]
    for expected, result in scored:
        if result.wrong:
            lines.append(f"  {expected.sig!r}")
            lines.extend(f"      {n}: expected {e}, found {f}" for n, e, f in result.wrong)
    return lines


def main() -> None:
    """Score the table that is named and print the report."""
    parser = argparse.ArgumentParser(prog="python -m nlp.evaluation.dosage")
    parser.add_argument("table", type=Path, help="table of instructions (tab-separated)")
    sys.stdout.write("\n".join(report(rows(parser.parse_args().table))) + "\n")


if __name__ == "__main__":
    main()
