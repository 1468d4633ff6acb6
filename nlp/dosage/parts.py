"""What the grammar finds: the parts of an instruction and the marks between them."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

DOSE, STRENGTH, FORM, AMOUNT, RATE = "DOSE", "STRENGTH", "FORM", "AMOUNT", "RATE"
ROUTE, SITE, METHOD = "ROUTE", "SITE", "METHOD"
FREQUENCY, DURATION, INFUSED_OVER, PHASE = "FREQUENCY", "DURATION", "INFUSED_OVER", "PHASE"
AS_NEEDED, INDICATION, MAX_DOSE = "AS_NEEDED", "INDICATION", "MAX_DOSE"
TAPER, SCALE, INSTRUCTION = "TAPER", "SCALE", "INSTRUCTION"
DISPENSE = "DISPENSE"
# Marks, no parts: what joins or parts the parts around them.
THEN, AND, STOP, OPEN, CLOSE, COLON = "THEN", "and", "stop", "open", "close", "colon"
EXCEPT, COMMA = "except", "comma"
MARKS = frozenset((THEN, AND, COMMA, STOP, OPEN, CLOSE, COLON, EXCEPT))
# The parts that are attributes of a drug; how it is given and days of a course are in its SIG.
EXPOSED = frozenset(
    (
        DOSE, STRENGTH, FORM, AMOUNT, RATE, ROUTE, SITE, FREQUENCY, DURATION, AS_NEEDED,
        INDICATION, MAX_DOSE, TAPER, INSTRUCTION,
    )
)  # fmt: skip
# The parts that make the words around them an instruction for taking a drug.
TELLING = frozenset(
    (
        DOSE, STRENGTH, AMOUNT, RATE, ROUTE, SITE, FREQUENCY, DURATION, INFUSED_OVER, PHASE,
        AS_NEEDED, MAX_DOSE, TAPER, SCALE,
    )
)  # fmt: skip


@dataclass(slots=True)
class Part:
    """One piece: `text[begin:end]`, of one of the kinds above, with its parsed form."""

    kind: str
    begin: int
    end: int
    value: dict[str, Any] = field(default_factory=dict)


def every(
    period: Decimal | int, unit: str, *, times: int = 1, longest: Decimal | None = None
) -> dict[str, Any]:
    """`Timing.repeat` of `times` per `period` (to `longest`) units of time."""
    repeat: dict[str, Any] = {"frequency": times, "period": Decimal(period)}
    if longest is not None:
        repeat["periodMax"] = longest
    repeat["periodUnit"] = unit
    return repeat


def daily_at(*when: str) -> dict[str, Any]:
    """`Timing.repeat` of once a day at each of these occasions."""
    return every(1, "d", times=len(when)) | {"when": list(when)}
