"""Addresses and places smaller than a state, and the names of organisations.

45 CFR 164.514(b)(2)(i)(B). States and countries may stay. Cities are found by what stands beside
them (`lives in`, `, OH 44101`), organisations by the word that their names end in.
"""

# ruff: noqa: E501 - a regular expression is read better unbroken

import re
from collections.abc import Iterator

from nlp.phi.span import LOCATION, ORGANIZATION, ZIP, PhiSpan
from nlp.phi.words import CAPITAL, is_ordinary

STATES = "Alabama|Alaska|Arizona|Arkansas|California|Colorado|Connecticut|Delaware|Florida|Georgia|Hawaii|Idaho|Illinois|Indiana|Iowa|Kansas|Kentucky|Louisiana|Maine|Maryland|Massachusetts|Michigan|Minnesota|Mississippi|Missouri|Montana|Nebraska|Nevada|New Hampshire|New Jersey|New Mexico|New York|North Carolina|North Dakota|Ohio|Oklahoma|Oregon|Pennsylvania|Rhode Island|South Carolina|South Dakota|Tennessee|Texas|Utah|Vermont|Virginia|Washington|West Virginia|Wisconsin|Wyoming|District of Columbia|Puerto Rico"
_ABBREVIATIONS = "AL|AK|AZ|AR|CA|CO|CT|DE|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|NC|ND|OH|OK|OR|PA|RI|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY|DC|PR"
_STATE_NAMES = frozenset(STATES.lower().split("|"))
_COUNTRIES = frozenset(
    [
        "usa",
        "us",
        "america",
        "mexico",
        "canada",
        "england",
        "britain",
        "scotland",
        "wales",
        "ireland",
        "france",
        "germany",
        "italy",
        "spain",
        "portugal",
        "poland",
        "russia",
        "ukraine",
        "china",
        "japan",
        "korea",
        "vietnam",
        "india",
        "pakistan",
        "bangladesh",
        "iran",
        "iraq",
        "israel",
        "egypt",
        "nigeria",
        "kenya",
        "ethiopia",
        "somalia",
        "ghana",
        "brazil",
        "colombia",
        "peru",
        "chile",
        "argentina",
        "cuba",
        "haiti",
        "jamaica",
        "philippines",
        "thailand",
        "australia",
        "europe",
        "asia",
        "africa",
        "uk",
        "guatemala",
        "honduras",
        "salvador",
        "nicaragua",
        "ecuador",
        "venezuela",
        "greece",
        "turkey",
        "sweden",
        "norway",
        "denmark",
        "netherlands",
        "belgium",
        "switzerland",
        "austria",
        "hungary",
        "romania",
    ]
)
_STREET_WORD = r"(?:Street|St|Avenue|Ave|Av|Road|Rd|Drive|Dr|Lane|Ln|Boulevard|Blvd|Court|Ct|Place|Pl|Terrace|Ter|Circle|Cir|Way|Parkway|Pkwy|Highway|Hwy|Route|Rte|Square|Sq|Trail|Trl|Loop|Alley|Crescent|Close|Row|Broadway|Plaza|Pike|Run|Path|Bend|Crossing|Ridge|Heights|Grove|Manor|Knoll|Turnpike|Causeway|Extension)"
_UNIT = r"(?:\s*,?\s*(?i:apt|apartment|suite|ste|unit|\#|floor|fl|bldg|building|rm|room|lot|trailer)\.?\s*#?\s*[A-Za-z]?-?\d*[A-Za-z]?)?"
_STREET = re.compile(
    rf"(?<![\w/.])\d{{1,6}}[A-Za-z]?(?:\s*-\s*\d{{1,5}})?\s+(?:(?:N|S|E|W|NE|NW|SE|SW|North|South|East|West)\.?\s+)?(?:(?:[A-Z][\w'’.-]*|\d{{1,3}}(?:st|nd|rd|th))\s+){{1,4}}{_STREET_WORD}\b\.?(?:\s+(?:N|S|E|W|NE|NW|SE|SW)\b\.?)?{_UNIT}"
    rf"|(?<![\w/.])\d{{1,6}}\s+(?:(?:[a-z][\w'’.-]*|\d{{1,3}}(?:st|nd|rd|th))\s+){{1,3}}(?:street|avenue|ave|road|rd|drive|lane|ln|boulevard|blvd|court|terrace|circle|parkway|highway)\b\.?{_UNIT}"
    r"|\bP\.?\s?O\.?\s+Box\s+\d+|\b(?:RR\s*#?\s*\d+,?\s*Box\s*\d+|RR\s*#\s*\d+|Rural\s+Route\s*#?\s*\d+(?:,?\s*Box\s*\d+)?)|\b(?:Apt|Apartment)\.?\s*#?\s*\d{1,5}[A-Z]?\b",
    re.MULTILINE,
)
_STREET_UPPER = re.compile(
    rf"(?<![\w/.])\d{{1,6}}\s+(?:[A-Z0-9][A-Z0-9'.-]*\s+){{1,4}}{_STREET_WORD.upper()}\b\.?{_UNIT}"
)
_PLACE = rf"{CAPITAL}(?:[ ](?:{CAPITAL}|de|la|of|on|upon|del|los|las)){{0,3}}"
_CITY_STATE = re.compile(
    rf"\b(?P<city>(?:(?:St|Ft|Mt|Pt)\.[ ])?{_PLACE})(?:,\s*(?:{STATES}|(?:{_ABBREVIATIONS})\b)|\s+(?:{STATES}|(?!(?:IN|OR|ME|HI|OK|DE|LA|AL|PA|MA|CO|ID|MD|MS|CT|PR|VA|MI|NC|AR|CA|DC|OH|MT)\b)(?:{_ABBREVIATIONS})\b|(?:{_ABBREVIATIONS})(?=\.?,?\s+\d{{5}})))\.?(?:,?\s+(?P<zip>\d{{5}}(?:-\d{{4}})?))?(?![\w])"
)
_ZIP = re.compile(
    rf"\b(?:zip(?:\s*code)?|postal\s+code|postcode)\s*[:#]?\s*(?P<zip>\d{{5}}(?:-\d{{4}})?|[A-Z]{{1,2}}\d[A-Z\d]?\s?\d[A-Z]{{2}}|[A-Z]\d[A-Z]\s?\d[A-Z]\d)|(?<![\w-])(?P<plus>\d{{5}}-\d{{4}})(?![\w-])|\b(?:{_ABBREVIATIONS}|{STATES})\.?,?\s+(?P<after>\d{{5}})(?!\d)|\b(?P<uk>[A-Z]{{1,2}}\d[A-Z\d]?\s\d[A-Z]{{2}})\b"
)
_LIVES = re.compile(
    r"\b(?:lives?|living|lived|resid(?:es|ed|ing|ent)|born(?:\s+and\s+raised)?|raised|grew\s+up|moved|moving|relocated|relocating|native|homeless|stays|staying|vacation(?:ed|ing)?|travel(?:s|ed|ing|led|ling)?|trip|visit(?:ing|ed)?|driving|flew|teacher|nurse|farmer|veteran|man|woman|gentleman|lady|family|relatives|friends|immigrated|emigrated|originally|hails|commutes|based|located)\s+(?:(?:alone|here|there|back|recently|mostly|with\s+(?:his|her|their)\s+\w+|in\s+a\s+\w+(?:\s+\w+)?|a\s+\w+)\s+)?(?:in|to|from|at|near|outside(?:\s+of)?|of|around)\s+(?:the\s+(?:city|town|village)\s+of\s+|downtown\s+|rural\s+|suburban\s+|nearby\s+)?"
    rf"(?P<place>{_PLACE})"
    rf"|\b(?:city|town|village|county|birthplace|hometown|place\s+of\s+birth|address|residence|location|facility|site|from)\s*:\s*(?P<labelled>{_PLACE})"
    rf"|\b(?P<county>{_PLACE}\s+(?:County|Township|Parish|Borough|Village|City))\b"
)
# What follows a street: `12 Elm St in Brookvale`, the next line of an address.
_TOWN = re.compile(
    rf"[ ]*(?:,[ ]*|[ ]in[ ]|\n[ \t]*)(?P<place>{_PLACE})(?=[ ]*(?:[,.;\n]|$|[A-Z]{{2}}\b|\d{{5}}))"
)
# A name of no word that is known, where a place would stand.
_IN = re.compile(
    rf"\b(?:in|near|from)[ ](?P<place>{CAPITAL}(?:[ ]{CAPITAL}){{0,2}})(?=[ ]*(?:[.,;)\n]|$|and\b|with\b|on\b|for\b|where\b|since\b|after\b))"
)
_ADDRESS_LINE = re.compile(
    r"\b(?:home\s+|mailing\s+|street\s+)?address\s*(?:is|:)\s*(?P<address>\d[^\n;]{4,90})",
    re.IGNORECASE,
)
_ORGANIZATION_WORD = r"(?:Hospitals?|Medical\s+(?:Center|Centre|Group|Associates|Clinic)|Med\s+(?:Center|Ctr)|Clinics?|Health(?:care)?(?:\s+(?:System|Center|Centre|Network|Services|Partners|Care))?|Infirmary|Sanatorium|Hospice|Nursing\s+(?:Home|Facility|Center)|Rehab(?:ilitation)?(?:\s+(?:Center|Centre|Hospital|Facility|Institute))?|Assisted\s+Living|Care\s+(?:Center|Centre|Home)|Retirement\s+(?:Home|Community|Village)|Pharmacy|Drugstore|Laborator(?:y|ies)|Labs|Institute|University|College|(?:High|Elementary|Middle|Primary)\s+School|School|Academy|Church|Parish|Temple|Synagogue|Mosque|Surgery\s+Center|Cancer\s+Center|Heart\s+Center|Eye\s+Center|Dialysis(?:\s+Center)?|Imaging(?:\s+Center)?|Family\s+(?:Practice|Medicine|Physicians)|Pediatrics\s+Group|Physicians|Orthopa?edics\s+(?:Group|Associates)|Associates|Partners|Foundation|Shelter|Correctional\s+(?:Facility|Institution)|Jail|Prison|Detention\s+Center|Fire\s+Department|Police\s+Department|Trust|Inc|LLC|L\.L\.C|Corp(?:oration)?|Company|Co|Ltd|GmbH|Industries|Enterprises|Logistics|Bank|Airlines|Motors|Insurance|Group\s+Home|Manor|Lodge)"
_ORGANIZATION = re.compile(
    rf"\b(?P<of>(?:University|College|Church|School|Bank|City|Town|Village|Hospital|Institute)\s+of\s+(?:the\s+)?{_PLACE})|\b(?P<name>(?:(?:The|St\.?|Saint|Mt\.?|Mount|Our\s+Lady\s+of)[ ])?{CAPITAL}(?:(?:[ ]|-|[ ]&[ ])(?:{CAPITAL}|of|the|and|for|de|&|St\.|at|in)){{0,5}}?[ ]{_ORGANIZATION_WORD})\b\.?(?:[ ](?:of|at|in)[ ]{_PLACE})?"
)
_MEMORIAL = re.compile(
    rf"\b(?:{CAPITAL}[ ]){{1,4}}(?:General|Memorial|Regional|Presbyterian|Methodist|Baptist|Lutheran|Mercy|Deaconess|Sinai|VA|VAMC|ED|ER|ICU)\b"
)
_WORKS = re.compile(
    rf"\b(?:works?|working|worked|employed|employee|volunteers?|volunteering|retired|job|position|student|studies|enrolled|attends|attended|teacher|teaches|cashier|manager|engineer|nurse|cook|clerk|driver|janitor)\s+(?:(?:as\s+(?:an?\s+)?[\w-]+(?:\s+[\w-]+)?\s+)?(?:at|for|by|with|from)\s+)(?:the\s+)?(?P<name>{CAPITAL}(?:[ ]{CAPITAL}){{0,3}})"
    rf"|\b(?:transferred|transfer|referred|discharged|admitted|sent|brought|arrived|presented|returned|seen|evaluated|treated|followed|hospitali[sz]ed|care|records|labs|faxed)\s+(?:\w+\s+){{0,2}}(?:from|to|at|by)\s+(?:the\s+)?(?P<site>{CAPITAL}(?:[ ]{CAPITAL}){{1,3}})"
    rf"|\b(?:Employer|Pharmacy|Facility|Hospital|Clinic|School|Institution|Insurance|Insurer|Payer|Location)\s*:\s*(?P<labelled>{CAPITAL}(?:[ ]+(?:{CAPITAL}|of|the|and|&)){{0,5}})"
)


def _allowed(place: str) -> bool:
    """Whether a place may stay: a state, a country, or no place at all."""
    lower = place.lower().strip(" .,")
    return (
        lower in _STATE_NAMES
        or lower in _COUNTRIES
        or lower
        in (
            "united states",
            "south america",
            "north america",
            "el salvador",
            "costa rica",
            "dominican republic",
            "saudi arabia",
            "south africa",
            "new zealand",
            "united kingdom",
        )
        or (is_ordinary(lower.split()[0]) and len(lower.split()) == 1)
    )


def places(text: str, written: str | None = None) -> Iterator[PhiSpan]:
    """Streets, cities, counties, postal codes.

    `written` is the text before its lines in capitals were rewritten (see `shouted`): a word that
    no list has is taken for a place only where its writer gave it a capital among small letters.
    """
    for pattern in (_STREET, _STREET_UPPER):
        for match in pattern.finditer(text):
            yield PhiSpan(match.start(), match.end(), LOCATION, 0.95)
            town = _TOWN.match(text, match.end())
            if town is not None and not _allowed(town["place"]):
                yield PhiSpan(*town.span("place"), LOCATION, 0.85)
    for match in _ADDRESS_LINE.finditer(text):
        yield PhiSpan(*match.span("address"), LOCATION, 0.9)
    for match in _CITY_STATE.finditer(text):
        if not is_ordinary(match["city"].split()[-1]):
            yield PhiSpan(*match.span("city"), LOCATION, 0.9)
        if match["zip"]:
            yield PhiSpan(*match.span("zip"), ZIP, 0.97)
    for match in _ZIP.finditer(text):
        name = next(name for name in ("zip", "plus", "after", "uk") if match[name])
        yield PhiSpan(*match.span(name), ZIP, 0.9)
    for match in _LIVES.finditer(text):
        name = next(name for name in ("place", "labelled", "county") if match[name])
        if not _allowed(match[name]):
            yield PhiSpan(*match.span(name), LOCATION, 0.8)
    for span in _unknown_places(text):
        if not (written or text)[span.begin : span.end].isupper():
            yield span


def _unknown_places(text: str) -> Iterator[PhiSpan]:
    """`was seen in Brookvale`: what is no word of medicine or of every day, where a place stands."""
    for match in _IN.finditer(text):
        words = match["place"].split()
        if any(is_ordinary(word) or word.isupper() or len(word) < 4 for word in words):
            continue
        if not _allowed(match["place"]):
            yield PhiSpan(*match.span("place"), LOCATION, 0.5)


def organizations(text: str) -> Iterator[PhiSpan]:
    """Hospitals, employers, schools and other named institutions."""
    for match in _ORGANIZATION.finditer(text):
        if match["of"]:
            if not all(is_ordinary(w) for w in match["of"].split(" of ", 1)[-1].split()):
                yield PhiSpan(match.start(), match.end(), ORGANIZATION, 0.85)
            continue
        first = match["name"].split()[0]
        words = [word for word in match["name"].split() if word[0].isupper()]
        if all(is_ordinary(word) for word in words[:-1]) and not first.startswith(
            ("St", "Saint", "Mt")
        ):
            continue
        yield PhiSpan(match.start(), match.end(), ORGANIZATION, 0.85)
    for match in _MEMORIAL.finditer(text):
        if not is_ordinary(match.group().split()[0]):
            yield PhiSpan(match.start(), match.end(), ORGANIZATION, 0.75)
    for match in _WORKS.finditer(text):
        name = next(name for name in ("name", "site", "labelled") if match[name])
        if not all(is_ordinary(word) for word in match[name].split()) and not _allowed(match[name]):
            yield PhiSpan(*match.span(name), ORGANIZATION, 0.7)
