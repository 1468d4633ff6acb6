"""`chartlake import`: NDJSON files, bundles and single resources into a lake folder."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from schemas.outcomes import FhirError
from schemas.parse import parse_resource
from service.bulk_files import find_files, is_ndjson, read_lines, read_whole
from service.client import Chartlake, ServiceError
from service.commands.options import add_target, open_target
from service.importer import Importer
from service.reference_integrity import EXISTING


def register(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("import", help="import FHIR files (.ndjson, .json; .gz, .zst)")
    add_target(parser)
    parser.add_argument("paths", nargs="+", metavar="PATH", help="files or folders")
    parser.add_argument("--errors", metavar="FILE", help="write refused resources here as NDJSON")
    parser.add_argument("--no-nlp", action="store_true", help="do not read the notes now")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Import, read the notes, report; 1 when anything was refused."""
    files, left_out = find_files([Path(path) for path in arguments.paths])
    for line in left_out:
        print(line, file=sys.stderr)
    if not files:
        raise FileNotFoundError("there is no .ndjson or .json file at these paths")
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with open_target(arguments, create=True) as target, Progress(*columns, console=console) as bars:
        if isinstance(target, Chartlake):
            return _by_http(target, files, bars)
        if target.ingest.policy.reference_integrity == EXISTING:
            print("importing does not look at whether references lead somewhere", file=sys.stderr)
        importer = Importer(target.ingest)
        task = bars.add_task("resources", total=None)
        report = importer.run(files, lambda count: bars.advance(task, count))
        target.lake.flush()
        if not arguments.no_nlp and report.stored["DocumentReference"]:
            task = bars.add_task("notes", total=report.stored["DocumentReference"])
            target.enricher.start()
            while not target.enricher.catch_up(timeout_s=1):
                left = target.enricher.backlog()
                bars.update(task, completed=report.stored["DocumentReference"] - left)
            bars.update(task, completed=report.stored["DocumentReference"])
            target.lake.flush()
    for name, count in sorted(report.stored.items()):
        print(f"{name:24} {count:>10,}")
    invalid = f" ({report.invalid:,} of them although invalid)" if report.invalid else ""
    print(f"{sum(report.stored.values()):,} stored{invalid}, {len(report.rejected):,} refused")
    if arguments.errors:
        with open(arguments.errors, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(r)) + "\n" for r in report.rejected)
    else:
        for rejected in report.rejected[:20]:
            place = f"{rejected.path}:{rejected.line}"
            print(f"{place}: {rejected.expression}: {rejected.reason}", file=sys.stderr)
        if len(report.rejected) > 20:
            print("… all of them with --errors FILE", file=sys.stderr)
    return 1 if report.rejected else 0


def _by_http(target: Chartlake, files: list[Path], bars: Progress) -> int:
    """Bundles and resources through a running service, one request each."""
    task = bars.add_task("requests", total=None)
    stored, failures = 0, 0
    for path in files:
        bodies = (line.body for line in read_lines(path)) if is_ndjson(path) else [read_whole(path)]
        for number, body in enumerate(bodies, 1):
            try:
                resource = parse_resource(body)
                kind, id = resource["resourceType"], resource.get("id")
                if kind == "Bundle" and resource.get("type") in ("transaction", "batch"):
                    stored += len(target.post_bundle(body).get("entry", []))
                elif id is not None:
                    target.update(kind, id, body)
                    stored += 1
                else:
                    target.create(kind, body)
                    stored += 1
            except (ServiceError, FhirError) as failure:
                failures += 1
                bars.console.print(f"{path}:{number}: {failure}", highlight=False, markup=False)
            bars.advance(task)
    print(f"{stored:,} stored, {failures:,} refused")
    return 1 if failures else 0
