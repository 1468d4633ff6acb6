"""The demonstration: a service is started, fed over HTTP, asked, and searched for plaintext."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from schemas.parse import canonical_bytes
from service.client import Chartlake
from service.rendering import render_cohort, render_findings, render_timeline
from service.synth import generate_population, transaction_bundle

MARKER = ".chartlake-demo"
NOTES_DATE = "2025-06-15T10:00:00Z"
_START_S = 120
_TIMELINE_ROWS = 40


def run_demo(folder: Path, patients: int, seed: int) -> int:
    """Run every step; 0 when all of them did what they show.

    `folder` is made anew; a folder that an earlier demonstration made is replaced, any other is
    refused.
    """
    console = Console()
    if folder.exists():
        if not (folder / MARKER).exists():
            console.print(
                f"{folder} exists and is not a demonstration's: choose another --data.",
                soft_wrap=True,
            )
            return 1
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARKER).touch()
    with running_service(folder / "lake", console) as lake:
        console.rule("1. records and notes over the FHIR API")
        diabetic = _feed_records(lake, patients, seed, console)
        first_note, text = _feed_notes(lake, diabetic, console)
        console.rule("2. what the NLP found in a note")
        render_findings(console, text, lake.findings(first_note, wait_s=60))
        console.rule("3. a patient's timeline, record and notes together")
        events = lake.timeline(diabetic)
        render_timeline(console, f"Patient/{diabetic}", _excerpt(events))
        if len(events) > _TIMELINE_ROWS:
            console.print(f"({_TIMELINE_ROWS} of {len(events)} events, around the note)")
        console.rule("4. a cohort: type 2 diabetes, on metformin, HbA1c > 8 %, 40 to 75 years")
        cohort = lake.cohort(_cohort_definition())
        render_cohort(console, cohort)
        before = lake.status()
    console.rule("5. what is on the disk")
    clean = _show_disk(folder / "lake", console)
    console.rule("6. and after a restart")
    with running_service(folder / "lake", console) as lake:
        after = lake.status()
    same = before["resources"] == after["resources"] and before["t"] == after["t"]
    console.print(
        f"commit {after['t']:,}, {sum(after['resources'].values()):,} resources: "
        + ("all there" if same else "NOT what was there before")
    )
    console.rule("go on")
    program = _program()
    console.print(
        f"  {program} serve --data {folder}/lake          the FHIR API on http://127.0.0.1:8080/fhir\n"
        f"  {program} timeline --data {folder}/lake {diabetic}\n"
        f'  {program} sql --data {folder}/lake "SELECT code_display, count(*) FROM condition '
        'GROUP BY 1 ORDER BY 2 DESC LIMIT 10"\n'
        "  make help, README.md, docs/",
        highlight=False,
        soft_wrap=True,
    )
    good = same and clean and cohort["count"] > 0
    console.print("[green]done" if good else "[red]something is not as it should be (see above)")
    return 0 if good else 1


@contextmanager
def running_service(folder: Path, console: Console | None = None) -> Iterator[Chartlake]:
    """A real service process on a free loopback port, ready to read notes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "service.cli", "serve", "--data", str(folder)]
    process = subprocess.Popen(  # noqa: S603 (our own command line)
        [*command, "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with Chartlake(f"http://127.0.0.1:{port}") as lake:
            with (console or Console(stderr=True)).status(f"starting the service on port {port}"):
                deadline = time.monotonic() + _START_S
                while not lake.is_ready():
                    if process.poll() is not None:
                        raise SystemExit("chartlake: the service did not start; try `make serve`")
                    if time.monotonic() > deadline:
                        raise SystemExit("chartlake: the service is not ready; try `make serve`")
                    time.sleep(0.2)
            yield lake
    finally:
        process.terminate()
        process.wait(timeout=120)


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


def _feed_records(lake: Chartlake, patients: int, seed: int, console: Console) -> str:
    """Post a generated population; the id of a patient with uncontrolled type 2 diabetes."""
    began, count = time.monotonic(), 0
    with _bars(console) as bars:
        task = bars.add_task("patients (transactions)", total=patients)
        for record in generate_population(patients, seed):
            bundle = transaction_bundle(record)
            count += len(lake.post_bundle(canonical_bytes(bundle))["entry"])
            bars.advance(task)
    seconds = time.monotonic() - began
    console.print(
        f"{count:,} resources, each validated, indexed, encrypted and durable, in {seconds:.1f} s"
    )
    members = lake.cohort(_cohort_definition())["members"]
    if not members:
        return str(next(iter(lake.search("Patient", _count="1")))["id"])
    # The shipped note is about a woman of 58: take whom it fits best.
    best = min(members, key=lambda m: (m["gender"] != "female", abs(m["age"] - 58)))
    return str(best["patient_id"])


def _feed_notes(lake: Chartlake, diabetic: str, console: Console) -> tuple[str, str]:
    """Post the shipped notes and wait until every note in the lake is read.

    The first is the diabetic's, each of the others its own patient's. Returns id and text of the
    first.
    """
    folder = _examples() / "notes"
    shipped = json.loads((folder / "patients.json").read_text("utf-8"))
    first: tuple[str, str] | None = None
    with _bars(console) as bars:
        task = bars.add_task("notes", total=len(shipped))
        for entry in shipped:
            text = (folder / entry["note"]).read_text("utf-8")
            patient = diabetic if first is None else _new_patient(lake, entry)
            note = lake.note(text, patient, date=NOTES_DATE, title=Path(entry["note"]).stem)
            first = first or (note["id"], text)
            bars.advance(task)
        unread = lake.status()["notes_unread"]
        task = bars.add_task("notes being read", total=unread)
        while left := lake.status()["notes_unread"]:
            bars.update(task, completed=unread - left)
            time.sleep(0.2)
        bars.update(task, completed=unread)
    if first is None:
        raise FileNotFoundError(f"{folder / 'patients.json'} names no note")
    return first


def _new_patient(lake: Chartlake, entry: dict[str, Any]) -> str:
    patient = {
        "resourceType": "Patient",
        "gender": entry["gender"],
        "birthDate": entry["birthDate"],
        "name": [{"text": f"Example patient of {Path(entry['note']).stem}"}],
    }
    return str(lake.create("Patient", canonical_bytes(patient))["id"])


def _excerpt(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events around the shipped note's facts."""
    first = next((i for i, e in enumerate(events) if e["date"] == NOTES_DATE), 0)
    begin = max(0, first - _TIMELINE_ROWS // 4)
    return events[begin : begin + _TIMELINE_ROWS]


def _show_disk(folder: Path, console: Console) -> bool:
    """List the lake's files and look for plaintext in them; True when there is none."""
    words = [b"Metformin", b"metformin", b"diabetes", b"Diabetes", b"Patient/", b"loinc.org"]
    table = Table("file", "bytes", "first bytes", "plaintext found")
    found = 0
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    for path in files:
        content = path.read_bytes()
        hits = [word.decode() for word in words if word in content]
        found += bool(hits)
        if len(files) <= 24 or path.suffix != ".parquet" or "Observation" in path.parts:
            table.add_row(
                str(path.relative_to(folder)),
                f"{len(content):,}",
                content[:4].hex(" "),
                ", ".join(hits) or "none",
            )
    console.print(table)
    console.print(
        f"{len(files)} files searched, {found} with plaintext "
        "(50 41 52 45, PARE: Parquet with an encrypted footer)"
    )
    return not found


def _program() -> str:
    """How to call the command line from here: it may not be on the PATH."""
    beside = Path(sys.executable).with_name("chartlake")
    if shutil.which("chartlake") or not beside.exists():
        return "chartlake"
    here = Path.cwd()
    return str(beside.relative_to(here) if beside.is_relative_to(here) else beside)


def _examples() -> Path:
    """Folder of the shipped examples: in the package when installed, beside it in a clone."""
    here = Path(__file__).parent
    for folder in (here / "examples", here.parent / "examples"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError("the examples folder is missing from this installation")


def _cohort_definition() -> dict[str, Any]:
    path = _examples() / "cohorts" / "diabetes_metformin_hba1c.json"
    definition: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return definition
