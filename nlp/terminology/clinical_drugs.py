"""Clinical drugs: RxNorm's normalised names taken apart, and what a note writes compared with them.

`hydrochlorothiazide 12.5 MG / lisinopril 20 MG Oral Tablet [Zestoretic]` has two ingredients with
their strengths, a form and a brand. https://www.nlm.nih.gov/research/umls/rxnorm/docs/techdoc.html
"""

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

_NUMBER = r"\d[\d,]*(?:\.\d+)?|\.\d+"
_FORM_WORD = (
    r"Tablet|Capsule|Solution|Suspension|Cream|Ointment|Gel|Lotion|System|Inhaler|Injection|Spray"
    r"|Suppository|Powder|Foam|Shampoo|Film|Lozenge|Syringe|Injector|Cartridge|Granules|Drops"
    r"|Patch|Ring|Implant|Paste|Oil|Enema|Gum|Wafer|Elixir|Syrup|Cartridge|Pad|Swab|Insert|Kit"
    r"|Concentrate|Liquid|Aerosol|Pellet|Emulsion|Soap|Douche|Strip|Bar|Stick"
)
_STRENGTH = re.compile(
    rf"(?P<name>\S.*?) (?P<amount>{_NUMBER}) (?P<unit>[A-Za-z\[\]'%]+(?:/[A-Za-z]+)?)"
    r"(?= / | [A-Z]|$)"
)
_BRAND = re.compile(r"\s*\[([^\]]+)\]\s*$")
_QUALIFIER = re.compile(
    rf"^(?:Abuse-Deterrent |Preservative-Free |(?:{_NUMBER}) (?:HR|ML|ACTUAT|MG|DAY) |NDA\d+ )+",
)
_LAST_FORM = re.compile(rf"\b(?:{_FORM_WORD})\b")


@dataclass(frozen=True, slots=True)
class Strength:
    """An amount in RxNorm's units (`MG`, `MG/ML`, `UNT`, `MEQ`, …)."""

    amount: Decimal
    unit: str


@dataclass(frozen=True, slots=True)
class ClinicalDrug:
    """One SCD or SBD. `ingredients` are RxNorm's words, salt included, lower case."""

    code: str
    name: str
    ingredients: tuple[str, ...]
    strengths: tuple[Strength, ...]
    form: str
    brand: str


def parse_clinical_drug(code: str, name: str) -> ClinicalDrug | None:
    """The parts of a normalised name; None for one that is not so built (packs, vaccines)."""
    if name.startswith("{"):
        return None
    brand = _BRAND.search(name)
    plain = _BRAND.sub("", name)
    plain = _QUALIFIER.sub("", plain)
    ingredients: list[str] = []
    strengths: list[Strength] = []
    position = 0
    while position < len(plain):
        found = _STRENGTH.match(plain, position)
        if found is None:
            return None
        amount = number(found["amount"])
        if amount is None:
            return None
        ingredients.append(found["name"].lower())
        strengths.append(Strength(amount, found["unit"].upper()))
        position = found.end()
        if not plain.startswith(" / ", position):
            break
        position += 3
    form = plain[position:].strip()
    if not _LAST_FORM.search(form):
        return None
    return ClinicalDrug(
        code,
        name,
        tuple(ingredients),
        tuple(strengths),
        form,
        brand.group(1).lower() if brand else "",
    )


def normal_name(code: str, name: str) -> str | None:
    """`name` as RxNorm writes it: ingredients in lower case; None for no such name."""
    drug = parse_clinical_drug(code, " ".join(name.split()))
    if drug is None:
        return None
    qualifier = _QUALIFIER.match(name)
    parts = (
        f"{ingredient} {format(strength.amount, 'f')} {strength.unit}"
        for ingredient, strength in zip(drug.ingredients, drug.strengths, strict=True)
    )
    brand = _BRAND.search(name)
    return (
        (qualifier.group(0) if qualifier else "")
        + " / ".join(parts)
        + f" {drug.form}"
        + (f" [{brand.group(1)}]" if brand else "")
    )


def number(written: str) -> Decimal | None:
    """The number that `1,000` or `.5` writes."""
    try:
        return Decimal(written.replace(",", "")).normalize()
    except InvalidOperation:
        return None


# What a note writes behind a drug's name.

_UNIT = r"mg|mcg|µg|μg|ug|micrograms?|milligrams?|g|grams?|gm|units?|meq|mmol|%"
_PER = r"ml|cc|l|hr|hour|h|actuation|puff|spray|inhalation|dose"
_WRITTEN = re.compile(
    rf"[ \t]*(?:,[ \t]*)?\(?(?P<first>{_NUMBER})[ \t]*-?(?P<unit>{_UNIT})?"
    rf"(?P<more>(?:[ \t]*[/\-][ \t]*(?:{_NUMBER})(?![\d.])[ \t]*(?:{_UNIT})?(?![A-Za-z])"
    rf"(?![ \t]*(?:{_PER})\b)){{0,2}})"
    rf"(?:[ \t]*/[ \t]*(?P<volume>\d+(?:\.\d+)?)?[ \t]*(?P<per>{_PER})\b)?"
    r"(?![\w.]|/\d)",
    re.IGNORECASE,
)
_MORE = re.compile(rf"[/\-]\s*(?P<n>{_NUMBER})\s*(?P<unit>{_UNIT})?", re.IGNORECASE)
_FORM_BEHIND = re.compile(
    r"[ \t)]*(?:(?P<modifier>extended[- ]release|delayed[- ]release|enteric[- ]coated|chewable"
    r"|orally disintegrating|disintegrating|sublingual|er|xr|xl|sr|cr|la|ec|dr|odt|sl|24[- ]?hr?)"
    r"[ \t]+)?(?:(?P<place>oral|topical|ophthalmic|nasal|rectal|vaginal|transdermal)[ \t]+)?"
    r"(?P<form>tablets?|tabs?|capsules?|caps?|cream|ointment|gel|lotion|patch(?:es)?"
    r"|oral solution|solution|suspension|suppositor(?:y|ies)|injection)\b",
    re.IGNORECASE,
)
_MODIFIERS = {
    "er": "Extended Release", "xr": "Extended Release", "xl": "Extended Release",
    "sr": "Extended Release", "cr": "Extended Release", "la": "Extended Release",
    "24": "Extended Release", "extended": "Extended Release", "ec": "Delayed Release",
    "dr": "Delayed Release", "delayed": "Delayed Release", "enteric": "Delayed Release",
    "chewable": "Chewable", "odt": "Disintegrating", "orally": "Disintegrating",
    "disintegrating": "Disintegrating", "sl": "Sublingual", "sublingual": "Sublingual",
}  # fmt: skip
_PLAIN_FORMS = {
    "tab": "Oral Tablet", "cap": "Oral Capsule", "cream": "Topical Cream",
    "ointment": "Topical Ointment", "gel": "Topical Gel", "lotion": "Topical Lotion",
    "patch": "Transdermal System", "oral solution": "Oral Solution", "solution": "Oral Solution",
    "suspension": "Oral Suspension", "suppositor": "Rectal Suppository", "injection": "Injection",
}  # fmt: skip
_PLACES = {"ophthalmic": "Ophthalmic", "nasal": "Nasal", "vaginal": "Vaginal", "rectal": "Rectal"}
_MASS = {"mg": Decimal(1), "mcg": Decimal("0.001"), "g": Decimal(1000)}


@dataclass(frozen=True, slots=True)
class Written:
    """The strength and form of a note: `units` per strength where they are written."""

    amounts: tuple[Decimal, ...]
    unit: str
    per: str
    form: str
    """RxNorm's name of the form, as far as the note tells; `` where it tells none."""

    def fits(self, drug: ClinicalDrug) -> bool:
        """Whether all strengths are those of `drug`, each once, in any order."""
        if len(self.amounts) != len(drug.strengths):
            return False
        return sorted(self.amounts) == sorted(s.amount for s in drug.strengths) and all(
            s.unit == self.unit + self.per for s in drug.strengths
        )


def read_written(text: str) -> Written | None:
    """The strength (and form) that `text`, which follows a drug's name, begins with.

    None for none, and for one number without a unit: that may be a dose, a level or a year.
    """
    found = _WRITTEN.match(text)
    if found is None:
        return None
    numbers = [found["first"]]
    units = [found["unit"]]
    for more in _MORE.finditer(found["more"] or ""):
        numbers.append(more["n"])
        units.append(more["unit"])
    unit = units[-1] or next((u for u in units if u), None)
    if unit is None and len(numbers) == 1:
        return None
    if len({(_canonical(u), _scale(u, None)) for u in units if u}) > 1:
        return None
    amounts = []
    canonical = _canonical(unit) if unit else "MG"
    for written in numbers:
        amount = number(written)
        if amount is None:
            return None
        amounts.append((amount * _scale(unit or "mg", found["volume"])).normalize())
    per = found["per"] or ""
    return Written(
        tuple(amounts),
        canonical,
        _per(per) if per else "",
        _form(text[found.end() :]),
    )


def _canonical(unit: str) -> str:
    short = unit.lower().rstrip("s")
    if short in ("mg", "milligram", "mcg", "µg", "μg", "ug", "microgram", "g", "gm", "gram"):
        return "MG"
    return {"unit": "UNT", "%": "%"}.get(short, short.upper())


def _scale(unit: str, volume: str | None) -> Decimal:
    short = unit.lower().rstrip("s")
    scale = Decimal(1)
    if short in ("mcg", "µg", "μg", "ug", "microgram"):
        scale = _MASS["mcg"]
    elif short in ("g", "gm", "gram"):
        scale = _MASS["g"]
    divisor = number(volume) if volume else None
    return scale / divisor if divisor else scale


def _per(per: str) -> str:
    short = per.lower()
    if short in ("ml", "cc"):
        return "/ML"
    if short in ("hr", "hour", "h"):
        return "/HR"
    if short in ("actuation", "puff", "spray", "inhalation"):
        return "/ACTUAT"
    return "/" + short.upper()


def _form(text: str) -> str:
    found = _FORM_BEHIND.match(text)
    if found is None:
        return ""
    word = found["form"].lower()
    plain = next((name for start, name in _PLAIN_FORMS.items() if word.startswith(start)), "")
    if found["place"] and found["place"].lower() in _PLACES:
        plain = f"{_PLACES[found['place'].lower()]} {plain.split(' ')[-1]}"
    if found["modifier"]:
        first = re.split(r"[- ]", found["modifier"].lower())[0].removesuffix("hr")
        modifier = _MODIFIERS[first]
        kind = plain.rpartition(" ")[2]
        if modifier == "Chewable":
            return f"Chewable {kind}"
        if modifier == "Disintegrating":
            return f"Disintegrating {plain}"
        if modifier == "Sublingual":
            return f"Sublingual {kind}"
        return f"{modifier} {plain}"
    return plain
