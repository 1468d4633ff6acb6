"""A note with what was found in it marked, as one self-contained HTML page for a reader.

In the manner of displaCy (https://spacy.io/usage/visualizers): a coloured mark with the kind behind
it. What is not so of the patient now (negated, a relative's, hypothetical …) is set apart in words
and by the mark's outline, never by colour alone. Nothing is loaded, and no script runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from service.rendering import details

Entity = dict[str, Any]

_COLOURS = {
    "MEDICATION": "#bfe3c0",
    "CONDITION": "#f6c1bd",
    "SYMPTOM": "#f8e3a1",
    "PROCEDURE": "#dcc7ee",
    "TEST": "#b9e2ea",
    "ANATOMY": "#e3e3e3",
}
_CODE_SYSTEMS = {
    "http://www.nlm.nih.gov/research/umls/rxnorm": "RxNorm",
    "http://hl7.org/fhir/sid/icd-10-cm": "ICD-10-CM",
    "http://snomed.info/sct": "SNOMED CT",
    "http://loinc.org": "LOINC",
    "http://hl7.org/fhir/sid/cvx": "CVX",
}
_STYLE = """
:root{color-scheme:light}
body{font:16px/1.9 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
.note{white-space:pre-wrap;overflow-wrap:anywhere;border:1px solid #ccc;border-radius:6px;
padding:1rem}
mark{border-radius:.3em;padding:.1em .25em;color:inherit}
mark[data-traits]{outline:2px dashed #666;outline-offset:-1px}
mark[data-traits~=NEGATED]{text-decoration:line-through}
mark small{font-size:.68em;font-weight:700;letter-spacing:.03em;margin-left:.35em;
display:inline-block;text-decoration:none}
u{text-decoration-thickness:2px;text-underline-offset:3px}
table{border-collapse:collapse;width:100%;font-size:.9rem;line-height:1.4}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid #ddd}
.legend span{padding:.1em .5em;border-radius:.3em;margin-right:.5em}
""" + "".join(f".{name}{{background:{colour}}}\n" for name, colour in _COLOURS.items())


def annotated_html(text: str, findings: dict[str, Any], *, title: str = "note") -> str:
    """The page for `text` and what `POST /nlp/annotate` answered for it.

    Spans are code points of `text`; everything of it is escaped. Spans that overlap are all told
    in the table, the first of them marked.
    """
    entities = sorted(findings.get("entities", []), key=lambda e: (e["span"][0], -e["span"][1]))
    notices = "".join(f"<p><strong>{escape(n)}</strong></p>" for n in _notices(findings))
    legend = "".join(
        f'<span class="{name}">{name.lower()}</span>'
        for name in _COLOURS
        if any(e["category"] == name for e in entities)
    )
    rows = "".join(_row(entity) for entity in entities)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>\n"
        f"<h1>{escape(title)}</h1>{notices}<p class=legend>{legend}</p>\n"
        f'<div class="note">{"".join(_marked(text, entities))}</div>\n'
        f"<h2>{len(entities)} mentions</h2>\n<table><thead><tr><th>where<th>mention<th>status"
        "<th>details<th>codes<th>score</tr></thead><tbody>\n"
        f"{rows}</tbody></table>\n<p>{escape(findings.get('pipeline', ''))}</p></body></html>"
    )


def _notices(findings: dict[str, Any]) -> Iterator[str]:
    for flag in findings.get("flags", ()):
        yield f"This text was not read: {flag} ({findings.get('language')})"


def _marked(text: str, entities: list[Entity]) -> Iterator[str]:
    at = 0
    parts = sorted(
        (a["span"][0], a["span"][1], a["type"])
        for entity in entities
        for a in entity["attributes"]
        if a["type"] != "SIG"
    )
    for entity in entities:
        begin, end = entity["span"]
        if begin < at:
            continue
        yield from _plain(text, at, begin, parts)
        traits = " ".join(entity["traits"])
        said = ", ".join([entity["category"].lower(), *(t.lower() for t in entity["traits"])])
        data = f' data-traits="{escape(traits)}"' if traits else ""
        yield (
            f'<mark class="{escape(entity["category"])}"{data} title="{escape(_codes(entity))}">'
            f"{escape(text[begin:end])}<small>{escape(said)}</small></mark>"
        )
        at = end
    yield from _plain(text, at, len(text), parts)


def _plain(text: str, begin: int, end: int, parts: list[tuple[int, int, str]]) -> Iterator[str]:
    """Text between mentions, with what belongs to one of them underlined."""
    at = begin
    for first, last, kind in parts:
        if first < at or last > end or first >= last:
            continue
        yield escape(text[at:first])
        yield f'<u title="{escape(_word(kind))}">{escape(text[first:last])}</u>'
        at = last
    yield escape(text[at:end])


def _row(entity: Entity) -> str:
    begin, end = entity["span"]
    cells = (
        f"{begin}–{end}",
        entity["text"],
        ", ".join([entity["category"].lower(), *(t.lower() for t in entity["traits"])]),
        "; ".join(details(entity)),
        _codes(entity),
        f"{float(entity['score']):.2f}",
    )
    return "<tr>" + "".join(f"<td>{escape(cell)}" for cell in cells) + "</tr>\n"


def _codes(entity: Entity) -> str:
    return "; ".join(
        f"{_CODE_SYSTEMS.get(c['system'], c['system'])} {c['code']} {c['display']}"
        for c in entity["concepts"]
    )


def _word(kind: str) -> str:
    return kind.lower().replace("_", " ")
