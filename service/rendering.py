"""Terminal views of findings, timelines and cohorts."""

from __future__ import annotations

import re
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

COLOURS = {
    "MEDICATION": "bold green",
    "CONDITION": "bold red",
    "SYMPTOM": "bold yellow",
    "PROCEDURE": "bold magenta",
    "TEST": "bold cyan",
    "ANATOMY": "dim",
}
_LONG_DECIMAL = re.compile(r"\d+\.\d{4,}")
_SHORT_SYSTEMS = {
    "http://www.nlm.nih.gov/research/umls/rxnorm": "RxNorm",
    "http://hl7.org/fhir/sid/icd-10-cm": "ICD-10",
    "http://snomed.info/sct": "SNOMED",
    "http://loinc.org": "LOINC",
    "http://hl7.org/fhir/sid/cvx": "CVX",
}


def render_findings(console: Console, text: str, findings: dict[str, Any]) -> None:
    """The note with its mentions in colour, then each mention with span, status and codes."""
    entities = findings.get("entities", [])
    marked = Text(text)
    for entity in entities:
        begin, end = entity["span"]
        style = COLOURS.get(entity["category"], "")
        marked.stylize(style + (" strike" if "NEGATED" in entity["traits"] else ""), begin, end)
    console.print(Panel(marked, title="note", border_style="dim"))
    shown = [entity for entity in entities if entity["category"] != "ANATOMY"]
    table = Table(title=f"{len(shown)} mentions ({findings['state']})", title_justify="left")
    table.add_column("span", no_wrap=True)
    table.add_column("mention", min_width=16, overflow="fold")
    table.add_column("status, details", overflow="fold")
    table.add_column("codes", no_wrap=True)
    table.add_column("score", no_wrap=True)
    for entity in shown:
        begin, end = entity["span"]
        style = COLOURS.get(entity["category"], "")
        table.add_row(
            f"{begin}–{end}",
            Text(f"{entity['text']}\n", style).append(entity["category"].lower(), "dim"),
            Text("; ".join([*(t.lower() for t in entity["traits"]), *details(entity)])),
            "\n".join(_code(concept) for concept in entity["concepts"]),
            f"{float(entity['score']):.2f}",
        )
    console.print(table)


def details(entity: dict[str, Any]) -> list[str]:
    """The attributes that were written out; a whole sig only repeats its parts."""
    return [
        f"{a['type'].lower().replace('_', ' ')}: {a['text']}"
        for a in entity["attributes"]
        if a["text"] and a["type"] != "SIG"
    ]


def _code(concept: dict[str, Any]) -> str:
    return f"{_SHORT_SYSTEMS.get(concept['system'], concept['system'])} {concept['code']}"


def render_timeline(console: Console, patient: str, events: list[dict[str, Any]]) -> None:
    """One line per event: date, kind, what, value, where it was said."""
    table = Table(title=f"timeline of {patient}: {len(events)} events", title_justify="left")
    table.add_column("date", no_wrap=True)
    table.add_column("what", min_width=24, overflow="fold")
    table.add_column("value", overflow="fold")
    table.add_column("status", overflow="fold")
    table.add_column("source", no_wrap=True)
    for event in events:
        date = _day(event.get("date")) or "undated"
        end = _day(event.get("end"))
        traits = ", ".join(event.get("traits") or ()).lower()
        source = "note" if event["source"] == "nlp" else "record"
        if event.get("also_in"):
            source += " + note" if source == "record" else " + record"
        what = Text(event.get("display") or event.get("code") or "")
        table.add_row(
            f"{date}\n– {end}" if end and end != date else date,
            what.append(f"  {event['kind']}", "dim"),
            Text(_LONG_DECIMAL.sub(_rounded, str(event.get("value") or ""))),
            ", ".join(dict.fromkeys(part for part in (event.get("status"), traits) if part)),
            Text(source, "yellow" if "note" in source else ""),
        )
    console.print(table)


def _rounded(number: re.Match[str]) -> str:
    """Shorter for the eye only, and marked as such; the data keep every digit."""
    return f"≈{float(number[0]):.2f}"


def _day(date: Any) -> str | None:
    return str(date)[:10] if date else None


def render_cohort(console: Console, result: dict[str, Any], *, limit: int = 20) -> None:
    """Attrition, then members with their evidence."""
    attrition = Table(title=f"cohort {result.get('name') or ''}", title_justify="left")
    attrition.add_column("criterion")
    attrition.add_column("patients left", justify="right")
    for step in result["attrition"]:
        attrition.add_row(Text(str(step["criterion"])), f"{step['count']:,}")
    console.print(attrition)
    members = result["members"]
    if members:
        columns = list(members[0])
        table = Table(title=f"{result['count']:,} members", title_justify="left")
        for column in columns:
            table.add_column(column.replace("_", " "), overflow="fold")
        for member in members[:limit]:
            table.add_row(*(_cell(member[column]) for column in columns))
        console.print(table)
        if len(members) > limit:
            console.print(f"… and {len(members) - limit:,} more")
    for warning in result.get("warnings", []):
        console.print(f"note: {warning}", style="yellow")


def _cell(value: Any) -> Text:
    """A plain value, or the evidence of a criterion: what was found, its value, and when."""
    if not isinstance(value, dict):
        return Text("" if value is None else str(value))
    what = value.get("display") or value.get("code") or value.get("reference")
    number = value.get("value")
    measured = [] if number is None else [f"{number:g}", value.get("unit")]
    parts = [what, *measured, _day(value.get("date"))]
    return Text(" ".join(str(part) for part in parts if part is not None))
