"""Names of patients, relatives and clinicians, by what stands around them.

Titles, roles, credentials, signatures and phrases (`seen by`, `his wife`) say that a name follows,
listed or not; the lists add first and last names written together. What was found once as a name is
one everywhere in the note.
"""

# ruff: noqa: E501 - a regular expression is read better unbroken

import re
from collections.abc import Iterable, Iterator

from nlp.phi.span import NAME, PhiSpan
from nlp.phi.words import (
    CAPITAL,
    INITIAL,
    PARTICLE,
    first_names,
    is_first_name,
    is_ordinary,
    is_surname,
    not_names,
    surnames,
)

_PART = rf"(?:{INITIAL}|{PARTICLE}(?=[ ])|{CAPITAL})"
_FULL = rf"(?:(?:{INITIAL}[ ]?)+{CAPITAL}|(?:{PARTICLE}[ ]){{1,3}}{CAPITAL}|{CAPITAL})(?:[ ]{{1,2}}{_PART}){{0,4}}"
_LAST_FIRST = rf"{CAPITAL}(?:[ ](?:{CAPITAL}|{PARTICLE}[ ]{CAPITAL})){{0,2}}(?:[ ](?:Jr|Sr|II|III|IV)\.?)?,[ ]?{CAPITAL}(?:[ ](?:{INITIAL}|{CAPITAL}))*"
_TITLE = r"(?:(?:Dr|Drs|Mr|Mrs|Ms|Mx|Prof|Rev|Hon|Sgt|Lt|Capt|Col|Sr|Sra|Srta|Mme|Messrs|Atty|Ofc)\b\.?|(?:Doctor|Miss|Mister|Professor|Nurse|Reverend|Father(?=[ ][A-Z][a-z]+[ ](?:visit|came|from|gave))|Pastor|Rabbi|Imam|Chaplain|Officer|Attorney|Judge|Sister(?=[ ]Mary)|Sir|Madam|Lady|Coach|Therapist|Pharmacist|Deputy|Detective|Sergeant|Captain)\b)"
_TITLED = re.compile(rf"\b{_TITLE}[ ]*\n?[ ]*(?P<name>{_LAST_FIRST}|{_FULL})")
_LOWER = r"[^\W\d_A-Z][^\W\d_]*(?:['’-][^\W\d_]+)*"
_TITLED_LOWER = re.compile(
    rf"\b(?:dr|mr|mrs|ms|prof|drs)\b\.?[ ]*(?P<name>(?:(?:van|von|de|della|del|der|den|la|al|bin|st\.)[ ])*{_LOWER})(?:[ ](?P<second>{_LOWER}))?"
)
_DEGREE = r"(?:M\.?D\.?|D\.?O\.?|R\.?N\.?|N\.?P\.?|P\.?A\.?-?C?|Ph\.?D\.?|Pharm\.?D\.?|L\.?P\.?N\.?|M\.?S\.?W\.?|LCSW|LICSW|LMFT|LPC|DPM|D\.?D\.?S\.?|DMD|FACP|FACC|FACS|MBBS|MBChB|MRCP|FRCS|CNM|CRNA|APRN|ARNP|CNP|FNP(?:-BC|-C)?|DNP|BSN|MSN|RNC?|CNS|CNA|MA|PT|DPT|OT|OTR(?:/L)?|RD|RDN|SLP|CCC-SLP|RT|RRT|EMT(?:-P)?|PsyD|MPH|OD|DC|DVM|MS3|MS4|PGY-?\d)"
_AMONG = re.compile(_FULL)
_DEGREES = re.compile(_DEGREE)
_CREDENTIALED = re.compile(
    rf"(?P<name>{_LAST_FIRST}|{_FULL})(?:[ ](?:Jr|Sr|II|III)\.?)?[ ]?,?[ ](?<![A-Z]{{6}}[ ]){_DEGREE}(?![\w])"
)
_LABEL = r"(?:patient(?:['’]s)?(?:[ ](?:full[ ])?name)?|full[ ]name|legal[ ]name|preferred[ ]name|maiden[ ]name|(?:last|first|middle|given|family)[ ]name|name(?:[ ]of[ ]\w+)?|pt(?:[ ]name)?|attending(?:[ ](?:physician|md|surgeon))?|(?:primary[ ](?:care[ ])?|referring|ordering|admitting|consulting|requesting|treating|rendering|family|supervising|performing|responsible)[ ](?:physician|provider|md|doctor|clinician|surgeon)|physician|provider|surgeon|clinician|doctor|pcp|author|(?:electronically[ ])?(?:signed|authenticated|approved|verified|co-?signed|dictated|transcribed|prepared|reviewed|reported|entered|interpreted|performed|ordered|requested|referred|seen|examined|read|written|completed|documented|witnessed|assisted|scribed|checked|administered|collected|edited|created|recorded)[ ]by|dictating[ ]physician|cc|to|from|attn|attention|re|dear|anesthesiologist|anesthetist|(?:first|second|co-?)?[ ]?assistants?|consultants?|radiologist|pathologist|cardiologist|oncologist|resident|fellow|intern|nurse|rn|scrub|circulator|midwife|therapist|social[ ]worker|case[ ]manager|interpreter|scribe|witness(?:es)?|(?:surgical|care|medical|treatment)[ ]team|staff|team|referring|consulting|pharmacist|emergency[ ]contact|next[ ]of[ ]kin|nok|contact(?:[ ](?:person|name))?|guardian|caregiver|contact[ ]person|health[ ]?care[ ]proxy|proxy|poa|power[ ]of[ ]attorney|responsible[ ]party|guarantor|subscriber|policy[ ]?holder|insured|informant|historian|spouse|wife|husband|mother|father|son|daughter|brother|sister|partner|parents?|sibling|child|alias|aka|a\.k\.a\.?|signature|signed|sincerely|regards|by)"
_LABELLED = re.compile(
    rf"(?:^|(?<=[\s(|\[;,*]))(?i:{_LABEL})(?:\([^)\n]{{1,20}}\))?[ ]*(?::|-[ ]|=|\||[ ]is[ ])[ \t*_]*(?:(?:{_TITLE})[ ]*)?(?P<name>{_LAST_FIRST}|{_FULL})(?P<more>(?:[ ]?[;/&][ ]?(?:{_TITLE}[ ]*)?(?:{_FULL})){{0,6}})",
    re.MULTILINE,
)
_LABELLED_LOWER = re.compile(
    r"^[ \t]*(?:patient(?:[ ]name)?|name|attending|pcp|physician|provider|author|signed by|dictated by|emergency contact|next of kin)[ ]*:[ ]*(?P<name>[a-z][a-z'’-]+(?:,?[ ][a-z][a-z'’.-]*){1,3})[ ]*(?=$|[|,;(]|[ ]{2})",
    re.MULTILINE,
)
_PHRASE = (
    r"(?:seen|examined|evaluated|followed|referred|treated|accompanied|signed|dictated|performed|assisted|interviewed|consulted|witnessed|interpreted|read|reviewed|ordered|requested|recommended|prescribed|staffed|supervised|scribed|brought[ ]in|driven|cared[ ]for|managed|operated[ ]on|placed|authored|reported|transcribed|cosigned|verified|electronically[ ]signed|was[ ]called|given|administered|escorted|interpreted)[ ](?:today[ ])?by|(?:discussed|discussion|spoke|spoken|speak|speaking|talked|met|conferred|consulted|reviewed|communicated|case[ ]discussed|follow(?:s|ed|ing)?(?:[ -]?up)?|appointment|appt|visit|consult(?:ation)?|establish(?:ed)?[ ]care|arranged|scheduled|coordinate[ds]?|lives|living|married|resides|stays|rides|here|arrived|came|presents)[ ](?:with|to|in[ ]clinic[ ]with)"
    r"|(?:called|given[ ]to|handed[ ]off[ ]to|obtained[ ]by|eval(?:uation)?[ ]by|paged|notified|informed|contacted|contact|thank|thanks[ ]to|thanking|dear|hi|hello|cc|care[ ]of|c/o|per|attn|texted|emailed|named|by[ ]the[ ]name[ ]of|(?:name|names)[ ](?:is|are|was)|known[ ]as|goes[ ]by|calls[ ](?:him|her)self|call[ ]me|formerly|n[eé]e|a/k/a|aka|on[ ]behalf[ ]of|under[ ]the[ ]care[ ]of|at[ ]the[ ]request[ ]of|nickname(?:d)?|request[ ]of|service[ ]of|care[ ]to|office[ ]of|friend|pleasure[ ]of[ ]seeing|(?:seeing|saw|see|meeting)(?=[ ][A-Z][a-z]+[ ][A-Z]))"
)
_RELATION = r"(?:wife|husband|spouse|partner|mother|father|mom|dad|son|daughter|brother|sister|aunt|uncle|cousin|niece|nephew|grandmother|grandfather|grandson|granddaughter|grandma|grandpa|stepmother|stepfather|stepson|stepdaughter|mother-in-law|father-in-law|son-in-law|daughter-in-law|sister-in-law|brother-in-law|twin|sibling|child|baby|infant|boy|girl|boyfriend|girlfriend|fianc[eé]e?|roommate|friend|neighbou?r|caregiver|caretaker|guardian|aide|nurse|physician|doctor|provider|pcp|attending|surgeon|cardiologist|oncologist|neurologist|psychiatrist|therapist|psychologist|dentist|resident|intern|fellow|pharmacist|social[ ]worker|case[ ]manager|interpreter|teacher|boss|employer|colleague|attorney|lawyer|pastor|dog|patient|pt)"
_PHRASED = re.compile(
    rf"\b(?i:{_PHRASE})[ \n](?:(?i:the[ ]patient|patient|{_RELATION}|family|her|his|their|a|an|the|our|my)[ ]?(?i:{_RELATION})?,?[ ])?(?:{_TITLE}[ ]*)?(?P<name>{_FULL})"
)
_RELATED = re.compile(
    rf"\b(?i:{_RELATION})(?:['’]s[ ]name[ ]is|[ ](?:is[ ])?(?:named|called)|[ ]is)?[ ]?(?:[,(:]?[ ]?)(?:{_TITLE}[ ]*)?(?P<name>{_FULL})"
)
_SUBJECT = re.compile(
    rf"(?P<name>{CAPITAL}(?:[ ](?:{INITIAL}|{CAPITAL})){{0,3}})(?:[ ](?:is|was)[ ](?:an?|the)|,?[ ](?:is[ ])?an?|[ ]is)[ ](?:very[ ]|delightful[ ]|pleasant[ ]|well-?known[ ]|otherwise[ ]healthy[ ]|healthy[ ])*(?:\d{{1,3}}|(?:\w+-){{1,3}}old|newborn|infant|year|gentleman|lady|woman|man|male|female|boy|girl|patient)"
)
_VERB = re.compile(
    r"(?:is|was|has|had|will|presents?|presented|reports?|reported|denies|denied|states?|stated|says|said|complains?|complained|notes|noted|feels|felt|lives|returns?|returned|came|comes|underwent|takes|took|continues|continued|tolerated|remains|remained|understands|understood|agrees|agreed|wants|wishes|works|appears|appeared|admits|describes|described|describes|smokes|drinks|called|calls|requests|received|went|developed|tolerates|did|does|began|started|stopped|uses|used|endorses|verbalized|arrived|needs|asked|asks|and[ ](?:his|her)|can|should|would|may|and)\b"
)
# What a person does or owns; the name itself may be one that no list has.
_PERSON_VERB = re.compile(
    rf"(?:^|(?<=[.!?:;\n][ ])|(?<=\n))(?P<name>{CAPITAL}(?:[ ]{CAPITAL})?)[ ](?:denies|denied|reports|reported|states|stated|complains|says|said|agrees|agreed|lives|smokes|drinks|verbalized|verbalizes|understands|endorses|admits|is[ ](?:here|accompanied|married|single|divorced|retired|doing|feeling|being[ ]seen|alert)|was[ ](?:seen|born|admitted|discharged|referred|brought|accompanied|last[ ]seen)|presents|presented|returns|returned|came[ ]in|comes[ ]in|called|underwent|tolerated|will[ ]follow|continues[ ]to|has[ ]been|has[ ]a[ ]history)\b"
)
_OWNER = re.compile(
    rf"(?P<name>{CAPITAL})['’]s?[ ](?:blood|wife|husband|mother|father|parents?|sons?|daughters?|brother|sister|family|labs?|symptoms?|pain|medications?|meds|exam(?:ination)?|condition|care|history|vitals?|chart|pcp|home|doctor|room|weight|course|hospital|questions?|glucose|sugars?|a1c|last|current|recent|past|progress|recovery|mood|appointment|insurance|phone|address|employer|caregiver|kidney|diabetes|hypertension|asthma)\b"
)
_SIGN_OFF = re.compile(
    rf"(?:^|\n)[ \t]*(?i:sincerely|regards|best(?:[ ]regards)?|respectfully|yours(?:[ ]truly)?|thank[ ]you|thanks|signed|/s/|/es/|_{{3,}})[, \t]*\n?[ \t\n]*(?:{_TITLE}[ ]*)?(?P<name>{_FULL})"
)
_ESIGN = re.compile(
    rf"/(?:s|es)/[ ]*(?P<name>{_FULL})|(?P<dash>(?<=[-–—~])[ ]?{_FULL})(?=[ ]*(?:,[ ]*{_DEGREE})?[ \t]*$)",
    re.MULTILINE,
)
_PAIR = re.compile(
    rf"(?P<first>{CAPITAL})(?:[ ](?:{INITIAL}|{PARTICLE}(?=[ ])|{CAPITAL})){{0,2}}[ ](?P<last>{CAPITAL})"
)
_REVERSED = re.compile(
    rf"(?P<last>{CAPITAL}),[ ]?(?P<first>{CAPITAL})(?:[ ](?:{INITIAL}|{CAPITAL}))?"
)
_INITIALLED = re.compile(rf"\b[A-Z]\.[ ]?(?:[A-Z]\.[ ]?)?(?P<last>{CAPITAL})")
_ALONE = re.compile(rf"(?<![\w'’-])(?P<name>{CAPITAL})(?=(?:['’]s)?[ ])")
_WORD = re.compile(r"[\w'’-]+")
_PARTS = re.compile(r"[\w'’]+")
_DIGIT_WORD = re.compile(r"\d")
_MIN_REPEATED = 3
_ROLES = frozenset(("Referring", "Attending", "Consulting", "Ordering", "Admitting", "Covering"))
_PARTICLES = frozenset(
    [
        "de",
        "da",
        "do",
        "dos",
        "das",
        "del",
        "della",
        "di",
        "du",
        "la",
        "le",
        "van",
        "von",
        "vom",
        "zu",
        "der",
        "den",
        "ter",
        "ten",
        "bin",
        "bint",
        "ibn",
        "al",
        "el",
        "abu",
        "san",
        "y",
        "e",
    ]
)


def names(text: str) -> list[PhiSpan]:
    """Every name in `text`, those that the context shows and their repetitions."""
    found: list[PhiSpan] = []
    for pattern, score in (
        (_TITLED, 0.97), (_LABELLED, 0.9), (_CREDENTIALED, 0.9), (_SIGN_OFF, 0.9), (_ESIGN, 0.8),
    ):  # fmt: skip
        for match in pattern.finditer(text):
            group = "dash" if match.groupdict().get("dash") else "name"
            found += _kept(
                text, *match.span(group), score, strong=pattern is _TITLED, labelled=True
            )
    for match in _LABELLED.finditer(text):
        for other in _AMONG.finditer(text, *match.span("more")):
            found += _kept(text, *other.span(), 0.8, strong=False, labelled=True)
    for pattern, score in (
        (_PHRASED, 0.8), (_RELATED, 0.8), (_SUBJECT, 0.8), (_PERSON_VERB, 0.55), (_OWNER, 0.6),
    ):  # fmt: skip
        for match in pattern.finditer(text):
            found += _kept(text, *match.span("name"), score, strong=False)
    found += _lower_case(text)
    found += _listed(text)
    return [*found, *_repeated(text, found)]


def _kept(
    text: str, begin: int, end: int, score: float, *, strong: bool, labelled: bool = False
) -> Iterator[PhiSpan]:
    """The part of a candidate that can be a name: up to the first word that is none.

    Behind a title any first word is a name, `Dr. Parkinson` too.
    """
    stop = begin
    for number, match in enumerate(_WORD.finditer(text, begin, end)):
        word = match.group()
        bare = word.removesuffix("'s").removesuffix("’s")
        single = len(bare) == 1
        if _DEGREES.fullmatch(bare) or bare in _ROLES:
            break
        if (number == 0 and strong and not _section_word(bare)) or (
            number == 0 and labelled and _listed_word(bare)
        ):
            pass
        elif single or bare.lower() in _PARTICLES:
            continue  # An initial or a particle belongs to the name if one follows.
        elif is_ordinary(bare) and not (
            number and strong and _may_end_name(bare, text, match.end())
        ):
            break
        stop = match.start() + len(bare)
    if stop > begin:
        # `John Q.`: initials behind the last name word.
        tail = re.compile(rf"[ ]{INITIAL}").match(text, stop, end)
        yield PhiSpan(begin, tail.end() if tail else stop, NAME, score)


def _listed_word(word: str) -> bool:
    """Whether a word of medicine is a name too, where a name is what is expected."""
    lower = word.lower()
    return lower not in not_names() and (lower in surnames() or lower in first_names())


def _section_word(word: str) -> bool:
    return (
        word.lower() in not_names()
        and word.lower() not in surnames()
        and word.lower() not in first_names()
    )


def _may_end_name(word: str, text: str, end: int) -> bool:
    """`seen by John Hill.`: an ordinary word that is a surname too, behind another name word."""
    return word.lower() in surnames() and word[0].isupper() and text[end : end + 1] != ":"


def _lower_case(text: str) -> Iterator[PhiSpan]:
    for match in _TITLED_LOWER.finditer(text):
        begin, end = match.span("name")
        second = (match["second"] or "").removesuffix("'s")
        if is_surname(second) and not is_ordinary(second):
            end = match.start("second") + len(second)
        if end - begin > 1 and match["name"] not in not_names() - surnames():
            yield PhiSpan(begin, end, NAME, 0.9)
    for match in _LABELLED_LOWER.finditer(text):
        words = re.findall(r"[a-z'’-]+", match["name"])
        if any(word in first_names() or word in surnames() for word in words) and not all(
            is_ordinary(word) for word in words
        ):
            yield PhiSpan(*match.span("name"), NAME, 0.8)


def _listed(text: str) -> Iterator[PhiSpan]:
    """Names that the lists know, where two parts stand together or one does something."""
    for match in _PAIR.finditer(text):
        first, last = match["first"], match["last"]
        if is_first_name(first) and not is_ordinary(last) and len(last) > 1:
            yield PhiSpan(match.start(), match.end(), NAME, 0.75)
        elif is_surname(last) and (first.lower() in first_names()) and not first.isupper():
            yield PhiSpan(match.start(), match.end(), NAME, 0.6)
    for match in _REVERSED.finditer(text):
        first, last = match["first"], match["last"]
        if is_first_name(first) and (is_surname(last) or not is_ordinary(last)):
            yield PhiSpan(match.start(), match.end(), NAME, 0.75)
    for match in _INITIALLED.finditer(text):
        if not is_ordinary(match["last"]) and len(match["last"]) > 2:
            yield PhiSpan(match.start(), match.end(), NAME, 0.7)
    for match in _ALONE.finditer(text):
        name = match["name"]
        if _DIGIT_WORD.search(name) and is_first_name(re.sub(r"\d+", "", name)):
            yield PhiSpan(*match.span("name"), NAME, 0.8)  # Synthetic data: `Jerry654`.
        elif is_first_name(name.removesuffix("'s").removesuffix("’s")) and not name.isupper():
            after = match.end()
            possessive = text[after : after + 2] in ("'s", "’s")
            follows = _VERB.match(text, after + 1 + 2 * possessive)
            if possessive or follows or name.endswith(("'s", "’s")):
                yield PhiSpan(match.start(), match.end(), NAME, 0.65)


def _repeated(text: str, found: Iterable[PhiSpan]) -> Iterator[PhiSpan]:
    """Other places where a word of a found name stands: what was a name once is one everywhere."""
    words: set[str] = set()
    for span in found:
        for match in _WORD.finditer(text, span.begin, span.end):
            word = match.group().removesuffix("'s").removesuffix("’s")
            if len(word) >= _MIN_REPEATED and not is_ordinary(word) and word[0].isupper():
                words.update((word, word.upper(), word.capitalize() if word.isupper() else word))
    for match in _WORD.finditer(text):
        word = match.group()
        bare = word.removesuffix("'s").removesuffix("’s")
        if bare in words:
            yield PhiSpan(match.start(), match.start() + len(bare), NAME, 0.7)
        elif "-" in word:
            for part in _PARTS.finditer(text, *match.span()):
                if part.group() in words:
                    yield PhiSpan(part.start(), part.end(), NAME, 0.7)
