"""The wording around a value: what only links, what belongs to it, what makes it none."""

import re

from nlp.results.interpretation import NUMBER
from nlp.results.units import UNIT

SKIP = re.compile(
    r"\s*(?:[:=~|]|x\s*\d\b|\.{2,}|-{1,3}(?=\s)|–(?=\s)|,(?=\s*\d)|,?\s*(?:which|that)\b|\*+"
    r"|(?:levels?|counts?|values?|results?|readings?|rate|score|scale|index|titers?|titres?|studies|study|range|ratio|percentage|numbers?|total|measurements?|random|fasting|repeat|last|latest|initial|initially|first|most\s+recent|recent|"
    r"peak|trough|nadir|max|maximum|room\s+air|on\s+room\s+air|on\s+ra|ra|is|was|were|are|be|being|of|at|has\s+been|had\s+been|has|had|have|been|remains?|remained|stays?|stayed|improved|improving|increased|increasing|"
    r"decreased|decreasing|rose|risen|rising|fell|fallen|falling|dropped|dropping|trended|trending|trend|declined|declining|reached|reaching|yielded|came|come|went|going|jumped|climbed|stable|stably|measured|measuring|found|noted|reported|recorded|shows?|showed|showing|revealed?|reads?|demonstrated|to\s+be|back|returned|returning|"
    r"around|about|approximately|approx\.?|down|up|to|estimated|peaked|peaking|bottomed|check(?:ed)?|in\s+the\s+clinic|here|a\s+bit|slightly|mildly|moderately|markedly|severely|significantly|still|only|just|well|controlled|uncontrolled|now\s+at|as|by|with\s+a|"
    r"the|a|an|oral|orally|tympanic|rectal|axillary|temporal|afebrile|febrile|sitting|standing|supine|lying|left\s+arm|right\s+arm|serum|plasma|result|and\s+is|but|per|report|daily\s+average|average|averaging|running|runs|pre|post)\b)",
    re.IGNORECASE,
)
PAREN = re.compile(r"\s*[(\[](?P<inside>[^()\[\]\n]{1,40})[)\]]")
VALUE = re.compile(
    r"\s*(?P<cmp>[<>≤≥]=?|=[<>]|(?:less|greater|more)\s+than|under|below|above|over|at\s+least)?\s*"
    rf"(?P<value>-?(?:{NUMBER}))"
    rf"(?:(?:\s*-?|\s*\|\s*)(?P<unit>(?:{UNIT})(?![A-Za-z])))?",
    re.IGNORECASE,
)
FROM = re.compile(
    rf"\s*(?:(?:down|up|improved|increased|decreased|went|rose|fell|dropped|came)\s+)?from\s+(?P<old>{NUMBER})\s*(?:{UNIT})?(?P<olddate>[^.;\n]{{0,30}}?)\s+(?:down\s+|up\s+)?to\s+(?=(?:{NUMBER}))",
    re.IGNORECASE,
)
# What, right behind a number, says that it is no result of this kind, or not all of one.
REST = re.compile(
    r"\s*(?:/|-|–|:|\+/-|±)\s*\d|\s*to\s+\d|\s*x\s*\d+(?:\.\d+)?\s*(?:x|cm|mm|m\b|in)|,\d|\.\d|[A-Za-z_]|'?s\b|-[A-Za-z]|\+|\s+\+\s*\d",
    re.IGNORECASE,
)
AFTER_REFUSED = re.compile(
    r"\s*-?\s*(?:(?:years?|yrs?|y/?o|days?|weeks?|wks?|months?|mos?|hours?|hrs?|minutes?|mins?|times|pm|am|a\.m|p\.m|o'clock|mg|mcg|milligrams?|grams?|g|units?|tabs?|tablets?|capsules?|caps|ml|cc|mm|cm|doses?|puffs?|drops?|th|st|nd|rd)\b(?!\s*/)|[/\-]\s*\d{1,2}\s*/|°(?!\s*[FC])|\s*of\s+\d)",
    re.IGNORECASE,
)
# An older value for comparison: `7.9, down from 9.1 last month`. Nothing behind it is the newer's.
OLDER = re.compile(
    rf"\s*[,;(–-]*\s*(?:(?:which\s+)?(?:is|was)?\s*(?:down|up|improved|increased|decreased|better|worse|stable|changed|unchanged|elevated|lower|higher)\s+)?(?:from|than|compared\s+(?:to|with)|versus|vs\.?|was|previously|previous|prior|baseline|last)\b[^.;\n\d]{{0,16}}(?:{NUMBER})",
    re.IGNORECASE,
)
ARROW = re.compile(r"\s*(?:-{1,2}>|=>|→|⟶|➔|➜|>{1,3})\s*(?=[<>]?\s*\.?\d)")
NEWER = re.compile(
    r"\s*[,;]?\s*(?:and|but|then|which\s+(?:has\s+)?)?\s*(?:is\s+|has\s+|had\s+|was\s+)?(?:now|today|currently|most\s+recently|(?:down|up|increased|decreased|improved|improving|rising|rose|risen|fell|fallen|falling|dropped|trended\s+(?:down|up))\s+to)\b(?:\s*(?:is|was|at|to|down|up|of|increased|decreased|improved))*\s*(?=[<>]?\s*\.?\d)",
    re.IGNORECASE,
)
AND_THEN = re.compile(
    r"\s*(?:[,;]|and\b|then\b|,\s*(?:and|then)\b)\s*(?:was\s+|then\s+|of\s+|a\s+)*(?=[<>]?\s*\.?\d)",
    re.IGNORECASE,
)
TITRE = re.compile(
    r"\s*,?\s*(?:at\s+|of\s+|with\s+(?:a\s+)?|a\s+)*(?:titer\s+|titre\s+|of\s+)*(?P<cmp>[<>≤≥]=?)?\s*(?P<one>1)\s*:\s*(?P<dilution>\d{1,6})(?!\d|\s*:|\s*(?:am|pm)\b)",
    re.IGNORECASE,
)
RANGE = re.compile(
    rf"\s*(?:in\s+(?:the\s+)?)?(?P<low>{NUMBER})\s*%?\s*(?:-|–|to)\s*(?P<high>{NUMBER})(?![\d/:.]|s\b|\s*[-–/]\s*\d)"
    rf"(?:\s*(?P<unit>(?:{UNIT})(?![A-Za-z])))?",
    re.IGNORECASE,
)
JOINED = re.compile(r"\s*(?:/|-|–)\s*\d")
OUT_OF = re.compile(r"\s*(?:/|out\s+of|of)\s*(?P<most>\d+)(?![\d/]|\.\d)", re.IGNORECASE)
SERIAL = re.compile(
    r"\s*x\s*\d\b(?!\s*(?:\d|cm|mm|m\b|\.))|\s*(?:times|x)\s+(?:two|three|\d)\b", re.IGNORECASE
)
CLAUSE_END = re.compile(
    r"\s*(?:$|[.,;:|)\n\]]|and\b|but\b|for\b|today\b|on\b|with\b|except\b|as\b|in\b|this\b|at\b|x\s*\d|times\b|\(|-\s)",
    re.IGNORECASE,
)
OUNCES = re.compile(
    r"\s*,?\s*(?:and\s+)?(?P<ounces>\d{1,2}(?:\.\d)?)\s*(?:oz|ounces?)\b", re.IGNORECASE
)
SPREAD = re.compile(
    r"\s*(?:has\s+|have\s+|had\s+|been\s+)*(?:rang(?:e|es|ed|ing)|var(?:y|ies|ied|ying)|run(?:s|ning)?)\s+(?:from|between|anywhere\s+from)\s+",
    re.IGNORECASE,
)
SHOWS = re.compile(
    r"\s*(?:shows?|showed|showing|revealed?|demonstrated|yielded|found|with\s+a|has|had)",
    re.IGNORECASE,
)
STOP = re.compile(r"\s*(?:$|[.,;:)\n]|and\b|but\b|for\b|x\s*\d|on\b|today\b)", re.IGNORECASE)
PLUS_MINUS = re.compile(r"\s*(?:\((?P<sign>[+-])\)|(?P<bare>\+))(?![\w+])")
CLASS = re.compile(
    r"\s*(?:functional\s+)?(?:class(?:ification)?|stage|grade)?\s*(?:of|is|was|:)?\s*(?P<class>I{1,3}V?|IV|[1-5]|[ABC])(?:E)?(?![\w.])(?:\s*(?:-|/|to)\s*(?P<upper>I{1,3}V?|IV|[1-5])(?!\w))?"
)
