"""Units of a dose: their word in the singular and their UCUM code.

Counted things (`tablet`, `puff`) have a UCUM annotation, `{tablet}`. So have `units` of insulin or
heparin: UCUM's `U` is the unit of enzyme activity, and `[iU]` is only what is written as such.
https://ucum.org/ucum
"""

from decimal import Decimal
from typing import Any, NamedTuple

from nlp.dosage.tokens import Tokens, word_set

MASS, VOLUME, COUNTED, PERCENT, LENGTH = "mass", "volume", "counted", "percent", "length"


class Unit(NamedTuple):
    """`word` as shown, `code` in UCUM, and what it measures; `scale` for `million units`."""

    word: str
    code: str
    measure: str
    scale: Decimal = Decimal(1)


_MEASURED = {
    ("mg", "mg", MASS): "mg mgs milligram milligrams mgm",
    ("mcg", "ug", MASS): "mcg mcgs microgram micrograms ug",
    ("g", "g", MASS): "g gm gms gram grams",
    ("kg", "kg", MASS): "kg",
    ("ng", "ng", MASS): "ng nanogram nanograms",
    ("mEq", "meq", MASS): "meq milliequivalent milliequivalents",
    ("mmol", "mmol", MASS): "mmol millimole millimoles",
    ("unit", "{unit}", MASS): "unit units u",
    ("IU", "[iU]", MASS): "iu",
    ("mCi", "mCi", MASS): "mci",
    ("mL", "mL", VOLUME): "ml mls milliliter milliliters millilitre millilitres cc ccs",
    ("L", "L", VOLUME): "l liter liters litre litres",
    ("oz", "[foz_us]", VOLUME): "oz ounce ounces",
    ("teaspoon", "[tsp_us]", VOLUME): "teaspoon teaspoons teaspoonful teaspoonfuls tsp tsps",
    ("tablespoon", "[tbs_us]", VOLUME): (
        "tablespoon tablespoons tablespoonful tablespoonfuls tbsp tbs tbsps"
    ),
    ("%", "%", PERCENT): "%",
    ("inch", "[in_i]", LENGTH): "inch inches in",
    ("cm", "cm", LENGTH): "cm",
}
_COUNTED = {
    "tablet": (
        "tablet tablets tab tabs tb caplet caplets tbl tableta tabletas comprimido comprimidos comp"
    ),
    "capsule": (
        "capsule capsules cap caps softgel softgels gelcap gelcaps cápsula cápsulas"
        " capsula capsulas"
    ),
    "pill": "pill pills pastilla pastillas",
    "puff": "puff puffs",
    "spray": "spray sprays squirt squirts",
    "drop": "drop drops gtt gtts gota gotas",
    "patch": "patch patches",
    "suppository": "suppository suppositories supp supps",
    "inhalation": "inhalation inhalations",
    "lozenge": "lozenge lozenges troche troches",
    "packet": "packet packets sachet sachets pkt",
    "scoop": "scoop scoops",
    "capful": "capful capfuls",
    "vial": "vial vials",
    "ampule": "ampule ampules ampoule ampoules amp amps",
    "nebulization": "neb nebs nebulizer nebulizers nebulization nebulizations nebule nebules",
    "application": "application applications",
    "applicatorful": "applicatorful applicatorfuls applicator applicators",
    "syringe": "syringe syringes",
    "pen": "pen pens",
    "injection": "injection injections",
    "film": "film films strip strips",
    "gummy": "gummy gummies",
    "piece": "piece pieces",
    "enema": "enema enemas",
    "bottle": "bottle bottles",
    "can": "can cans",
    "dose": "dose doses",
    "ring": "ring rings",
    "actuation": "actuation actuations",
    "pump": "pump pumps",
    "dropperful": "dropperful dropperfuls dropper droppers",
    "insert": "insert inserts pessary pessaries",
    "wafer": "wafer wafers",
    "implant": "implant implants",
    "bag": "bag bags",
    "click": "click clicks",
    "cartridge": "cartridge cartridges",
    "treatment": "treatment treatments",
    "swab": "swab swabs",
    "pad": "pad pads",
}
UNITS: dict[str, Unit] = {
    word: Unit(shown, code, measure)
    for (shown, code, measure), words in _MEASURED.items()
    for word in words.split()
} | {
    word: Unit(shown, f"{{{shown}}}", COUNTED)
    for shown, words in _COUNTED.items()
    for word in words.split()
}
_COUNTED_WORDS = frozenset(_COUNTED)
_SCALES = {"million": Decimal(10**6), "mill": Decimal(10**6), "thousand": Decimal(1000)}
# What may stand between a number and what is counted: `1 chewable tablet`, `2 eye drops`.
_ADJECTIVES = word_set(
    "oral chewable sublingual vaginal rectal nasal eye ear full whole extended-release delayed er"
    " xr sr ec dr odt extended release enteric coated disintegrating effervescent topical level"
    " heaping more additional scored single separate transdermal small prefilled orally dissolving"
    " metered ophthalmic buccal ds"
)
_MAX_ADJECTIVES = 3
TIME_UNITS = {
    "min": "min", "mins": "min", "minute": "min", "minutes": "min", "h": "h", "hr": "h",
    "hrs": "h", "hour": "h", "hours": "h", "°": "h", "d": "d", "day": "d", "days": "d",
    "dy": "d", "week": "wk", "weeks": "wk", "wk": "wk", "wks": "wk", "w": "wk",
    "month": "mo", "months": "mo", "mo": "mo", "mos": "mo", "mth": "mo", "year": "a",
    "dia": "d", "dias": "d", "día": "d", "días": "d", "hora": "h", "horas": "h", "semana": "wk",
    "semanas": "wk", "mes": "mo", "meses": "mo", "years": "a", "yr": "a", "yrs": "a", "sec": "s",
    "second": "s", "seconds": "s",
}  # fmt: skip


def time_unit(t: Tokens, i: int) -> tuple[str, int] | None:
    """The UCUM code of a unit of time at `i`; `hour(s)` and `hrs.` included."""
    code = TIME_UNITS.get(t.word(i))
    return (code, _plural(t, i + 1)) if code is not None else None


def _plural(t: Tokens, i: int) -> int:
    """Behind `tablet` in `tablet(s)`."""
    if t.word(i) == "(" and t.word(i + 1) in ("s", "es", "ies") and t.word(i + 2) == ")":
        return i + 3
    return i


def unit_at(t: Tokens, i: int) -> tuple[Unit, int] | None:
    """The unit at `i`, adjectives before a counted one included."""
    word = t.word(i)
    scale = _SCALES.get(word)
    if scale is not None:
        unit = UNITS.get(t.word(i + 1))
        if unit is not None and unit.measure == MASS:
            return unit._replace(scale=scale), i + 2
        return None
    if word == "k" and t.glued(i) and t.word(i + 1) in ("unit", "units", "iu"):
        return UNITS[t.word(i + 1)]._replace(scale=Decimal(1000)), i + 2
    if word == "international" and t.word(i + 1) in ("unit", "units"):
        return UNITS["iu"], i + 2
    unit = UNITS.get(word)
    if word == "in" and not t.glued(i):
        unit = None
    if unit is not None:
        j = _plural(t, i + 1)
        return unit, j
    j = i
    while j - i < 2 * _MAX_ADJECTIVES and (
        t.word(j) in _ADJECTIVES or (t.word(j) == "-" and j > i and t.word(j + 1) in _ADJECTIVES)
    ):
        j += 1
        unit = UNITS.get(t.word(j))
        if unit is not None and unit.measure == COUNTED:
            return unit, _plural(t, j + 1)
    return None


def is_counted(dose: dict[str, Any]) -> bool:
    """Whether the dose is of tablets, puffs and the like, or a number without a unit."""
    return dose.get("unit") in _COUNTED_WORDS or "unit" not in dose
