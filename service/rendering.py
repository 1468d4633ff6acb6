"""Terminal views of findings, timelines and cohorts."""

from __future__ import annotations

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
_SHORT_SYSTEMS = {
    "http://www.nlm.nih.gov/research/umls/rxnorm": "RxNorm",
    "http://hl7.org/fhir/sid/icd-10-cm": "ICD-10-CM",
    "http://snomed.info/sct": "SNOMED CT",
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
    table = Table(title=f"{len(entities)} mentions ({findings['state']})", title_justify="left")
    for column in ("span", "category", "text", "status", "attributes", "codes", "score"):
        table.add_column(column, overflow="fold")
    for entity in entities:
        if entity["category"] == "ANATOMY":
            continue
        begin, end = entity["span"]
        table.add_row(
            f"{begin}–{end}",
            Text(entity["category"], COLOURS.get(entity["category"], "")),
            Text(entity["text"]),
            ", ".join(entity["traits"]).lower(),
            Text("; ".join(f"{a['type'].lower()}: {a['text']}" for a in entity["attributes"])),
            "\n".join(_code(concept) for concept in entity["concepts"]),
            f"{float(entity['score']):.2f}",
        )
    console.print(table)


def _code(concept: dict[str, Any]) -> str:
    return f"{_SHORT_SYSTEMS.get(concept['system'], concept['system'])} {concept['code']}"


def render_timeline(console: Console, patient: str, events: list[dict[str, Any]]) -> None:
    """One line per event: date, kind, what, value, where it was said."""
    table = Table(title=f"timeline of {patient}: {len(events)} events", title_justify="left")
    for column in ("date", "kind", "what", "value", "status", "source"):
        table.add_column(column, overflow="fold")
    for event in events:
        date = _day(event.get("date")) or "undated"
        end = _day(event.get("end"))
        traits = ", ".join(event.get("traits") or ()).lower()
        source = "note" if event["source"] == "nlp" else "record"
        if event.get("also_in"):
            source += " + note" if source == "record" else " + record"
        table.add_row(
            f"{date} – {end}" if end and end != date else date,
            event["kind"],
            Text(event.get("display") or event.get("code") or ""),
            Text(str(event.get("value") or "")),
            ", ".join(part for part in (event.get("status"), traits) if part),
            Text(source, "yellow" if "note" in source else ""),
        )
    console.print(table)


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
        table = Table(*columns, title=f"{result['count']:,} members", title_justify="left")
        for member in members[:limit]:
            table.add_row(*(_cell(member[column]) for column in columns))
        console.print(table)
        if len(members) > limit:
            console.print(f"… and {len(members) - limit:,} more")
    for warning in result.get("warnings", []):
        console.print(f"note: {warning}", style="yellow")


def _cell(value: Any) -> Text:
    if isinstance(value, dict):
        return Text(" ".join(str(part) for part in value.values() if part is not None))
    return Text("" if value is None else str(value))
