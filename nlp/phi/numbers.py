"""Telephone and fax numbers, addresses of mail, web and machines, and identifying numbers.

45 CFR 164.514(b)(2)(i)(D) to (P): what is written in a form of its own is taken by the form,
other numbers by the words before them. A long number that nothing explains is taken too.
"""

# ruff: noqa: E501 - a regular expression is read better unbroken

import re
from collections.abc import Iterator

from nlp.phi.span import EMAIL, FAX, IDENTIFIER, IP, MRN, PHONE, SSN, URL, PhiSpan

_EMAIL = re.compile(
    r"\b[\w.+%'-]{1,64}\s?@\s?[\w-]{1,63}(?:\.[\w-]{1,63})*\.[A-Za-z]{2,12}\b|\b[\w.+-]{2,40}\s*(?:\[at\]|\(at\))\s*[\w-]+\s*(?:\.|\[dot\]|\(dot\))\s*[a-z]{2,6}\b",
    re.IGNORECASE,
)
_URL = re.compile(
    r"\b(?:https?|ftp|sftp)://[^\s<>\"')\]]+|\bwww\.[^\s<>\"')\]]+|(?<![\w.-])(?:[a-z0-9-]{1,63}\.){1,6}(?:com|org|net|edu|gov|io|health|info|us|co\.uk|uk|de|ca)(?:/[^\s<>\"')\]]*)?(?![\w@])",
    re.IGNORECASE,
)
_IPV4 = re.compile(
    r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.]*\d)"
)
_IPV6 = re.compile(
    r"(?<![\w:])(?:[0-9a-f]{1,4}:){3,7}:?(?:[0-9a-f]{1,4}:?)*[0-9a-f]{1,4}(?![\w:])|(?<![\w:])(?:[0-9a-f]{1,4}:){1,6}:(?:[0-9a-f]{1,4})?(?![\w:])|\b(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}\b",
    re.IGNORECASE,
)
_SSN = re.compile(
    r"(?<![\d-])\d{3}[- ]\d{2}[- ]\d{4}(?![\d-])|(?<!\d)(?:\d{3}\.\d{2}\.\d{4})(?!\d)|(?<![\w-])(?:[Xx*]{3}-[Xx*]{2}-\d{4})"
)
_PHONE = re.compile(
    r"(?<![\w.+-])(?:\+?1[\s.-]?)?(?:\(\s?\d{3}\s?\)\s?[-.]?\s?|\d{3}\s?[-./]\s?|\d{3}\s)\d{3}\s?[-. ]\s?\d{4}(?!\d)(?:\s*(?:x|ext\.?|extension)\s*:?\s*\d{1,6})?"
    r"|(?<![\w+])\+\d{1,3}[\s.-]?(?:\(?\d{1,4}\)?[\s.-]?){2,5}\d{2,4}(?!\d)"
    r"|(?<![\w.-])0\d{2,4}[\s-]\d{3,4}[\s-]\d{3,4}(?!\d)"
    r"|(?<![\w./-])\d{3}-\d{4}(?![\w/-])",
    re.IGNORECASE,
)
_PHONE_LABEL = r"(?:tel(?:ephone)?|phone|ph|cell(?:ular)?|mobile|home|work|office|pager?|beeper|contact(?:\s+(?:no|number|phone))?|call(?:\s+(?:back|me|us))?(?:\s+at)?|reach(?:ed|able)?\s+at|callback|voicemail|emergency)"
_LABELLED_PHONE = re.compile(
    rf"\b{_PHONE_LABEL}\s*(?:(?:phone|number|no\.?|#|is|at)\s*)*[:#.=]?\s*(?P<number>\+?\(?\d[\d\s().-]{{5,18}}\d)(?:\s*(?:x|ext\.?)\s*\d{{1,6}})?|\b(?:ext(?:ension)?\.?|pager|pgr|beeper)\s*(?:(?:#|no\.?|number|is)\s*)*[:#]?\s*(?P<extension>\d{{3,6}})\b",
    re.IGNORECASE,
)
_FAX = re.compile(
    r"\b(?:fax|facsimile)\b\s*(?:(?:phone|number|no\.?|#|is|to|at)\s*)*[:#.=]?\s*(?P<number>\+?\(?\d[\d\s().-]{5,18}\d)",
    re.IGNORECASE,
)
_VALUE = (
    r"(?P<value>(?=[A-Z0-9./_-]*\d)[A-Z0-9](?:[A-Z0-9]|[-./_](?=[A-Z0-9])|[ ](?=\d{2,}\b)){2,30})"
)
_BETWEEN = r"\s*(?:(?:number|num|no\.?|id|code|\#|is|of|was)\s*)*[:#=]*\s*(?:is\s+)?#?\s*"
_MRN = re.compile(
    r"\b(?:MRN|MR\s?\#|M\.R\.N\.?|MR\s?(?:no\.?|number)|med(?:ical)?\.?\s+rec(?:ord)?s?\.?|chart|patient\s+(?:id|identifier|no\.?|number|\#)|pt\.?\s+(?:id|no\.?|\#)|hospital\s+(?:no\.?|number|\#|id)|unit\s+(?:no\.?|number|record)|UR\s?N|EMPI|MPI|NHS(?:\s+(?:no\.?|number))?|CHI(?=\s*(?:no|number|:))|record\s+(?:no\.?|number|locator|\#))"
    rf"{_BETWEEN}{_VALUE}",
    re.IGNORECASE,
)
_SSN_LABEL = re.compile(
    rf"\b(?:SSN?|SS\s?\#|social\s+security|soc\.?\s+sec\.?|national\s+insurance)\b(?:\s+(?:last\s+(?:four|4)|ending\s+in))?{_BETWEEN}(?P<value>[\dX*][\dX*\s-]{{2,12}}\d)",
    re.IGNORECASE,
)
_LABELS = r"acc(?:oun)?t|account|acct|encounter|enc|visit|CSN|FIN|HAR|accession|acc(?=\s*\#|:)|specimen|case|order|requisition|claim|policy|member|subscriber|group|insurance|ins|plan|beneficiary|HICN|MBI|medicare|medicaid|health\s+(?:plan|card|insurance)|card|certificate|cert|licen[cs]e|lic|DEA|NPI|UPIN|driver['’]?s?\s+licen[cs]e|driver\s+lic|D\.?L\.?(?=\s*[\#:])|passport|plate|licen[cs]e\s+plate|tag(?=\s*\#)|registration|vehicle|VIN|serial|ser|S/N|SN(?=\s*[:\#])|device|implant|UDI|lot|batch|model|ref(?:erence)?(?=\s*(?:\#|no|number))|prescription|rx(?=\s*(?:\#|no))|badge|employee|student|military|VA(?=\s*(?:\#|id|no))|confirmation|tracking|study\s+id|subject\s+id|room|rm|bed|job|dictation|document|doc(?=\s*(?:id|\#))|transcription|authorization|auth|referral|biometric|fingerprint|donor|sample|barcode|ticket|invoice|tax|EIN|IMEI|MAC"
_LABELLED = re.compile(
    rf"\b(?:{_LABELS})\b\.?(?:\s+(?:plate|card|record|policy|member|identification|identifier|serial|device|license|lead|generator|pump|pacemaker|ICD|account|certificate)){{0,2}}{_BETWEEN}{_VALUE}(?!\w)",
    re.IGNORECASE,
)
_NEEDS_MARK = re.compile(r"[:#=]|\b(?:number|num|no\.?|id|is)\b", re.IGNORECASE)
_VIN = re.compile(
    r"(?<![\w-])(?=[A-HJ-NPR-Z0-9]*\d)(?=[A-HJ-NPR-Z0-9]*[A-HJ-NPR-Z])[A-HJ-NPR-Z0-9]{17}(?![\w-])"
)
_UDI = re.compile(r"\(01\)\d{14}(?:\(\d\d\)[A-Z0-9-]+)*")
_DEA = re.compile(r"(?<![\w-])[A-Z][A-Z9]\d{7}(?![\w-])")
_LONG = re.compile(
    r"(?<![\w.,/$-])(?:\d{7,20}|[A-Z]{1,4}-?\d{5,12}(?:-\d{1,6})?|\d{2,6}-\d{2,8}-\d{1,8}|\d[A-Z0-9]{3}-?[A-Z0-9]{3}-?[A-Z]{2}\d{2})(?![\w/%]|[.,]\d|\s*(?:mg|mcg|ml|units?|cells|copies|IU))"
)
_UUID = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE
)
_MIN_PHONE_DIGITS = 7


def contacts(text: str) -> Iterator[PhiSpan]:
    """Telephone, fax, mail, web and machine addresses."""
    for pattern, category in ((_EMAIL, EMAIL), (_URL, URL), (_IPV4, IP), (_IPV6, IP)):
        for match in pattern.finditer(text):
            yield PhiSpan(match.start(), _trimmed(text, match), category, 0.97)
    for match in _FAX.finditer(text):
        if _digits(match["number"]) >= _MIN_PHONE_DIGITS:
            yield PhiSpan(*match.span("number"), FAX, 0.98)
    for match in _LABELLED_PHONE.finditer(text):
        if match["number"] and _digits(match["number"]) >= _MIN_PHONE_DIGITS:
            yield PhiSpan(*match.span("number"), PHONE, 0.97)
        elif match["extension"]:
            yield PhiSpan(*match.span("extension"), PHONE, 0.8)
    for match in _PHONE.finditer(text):
        yield PhiSpan(match.start(), match.end(), PHONE, 0.9)


def identifiers(text: str) -> Iterator[PhiSpan]:
    """Social security, record, account, licence, device, vehicle and other numbers."""
    for match in _SSN.finditer(text):
        yield PhiSpan(match.start(), match.end(), SSN, 0.97)
    for match in _SSN_LABEL.finditer(text):
        yield PhiSpan(*match.span("value"), SSN, 0.97)
    for match in _MRN.finditer(text):
        yield PhiSpan(*match.span("value"), MRN, 0.97)
    for match in _LABELLED.finditer(text):
        label = match.group()[: match.start("value") - match.start()]
        if _digits(match["value"]) >= 5 or _NEEDS_MARK.search(label):
            yield PhiSpan(*match.span("value"), IDENTIFIER, 0.9)
    for pattern, score in ((_VIN, 0.95), (_UDI, 0.98), (_UUID, 0.95), (_DEA, 0.8), (_LONG, 0.6)):
        for match in pattern.finditer(text):
            yield PhiSpan(match.start(), match.end(), IDENTIFIER, score)


def _digits(text: str) -> int:
    return sum(character.isdigit() for character in text)


def _trimmed(text: str, match: re.Match[str]) -> int:
    end = match.end()
    while end > match.start() and text[end - 1] in ".,;:":
        end -= 1
    return end
