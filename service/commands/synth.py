"""`chartlake synth`: a synthetic population, the same for the same seed."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from schemas.parse import canonical_bytes
from service.synth import generate_population, transaction_bundle, write_ndjson


def register(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("synth", help="generate a synthetic population")
    parser.add_argument("--patients", type=int, default=100, metavar="N", help="how many patients")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="same seed, same bytes")
    parser.add_argument("--out", default="synth", metavar="DIR", help="folder to write to")
    parser.add_argument(
        "--format",
        choices=("ndjson", "bundles"),
        default="ndjson",
        help="one NDJSON file per type, or one transaction bundle per patient",
    )
    parser.add_argument("--gzip", action="store_true", help="compress the NDJSON files")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Write the population and say how many resources there are."""
    if arguments.patients < 1:
        raise SystemExit("chartlake: --patients must be at least 1")
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    if arguments.format == "ndjson":
        counts = write_ndjson(out, arguments.patients, arguments.seed, compress=arguments.gzip)
    else:
        counts = _write_bundles(out, arguments.patients, arguments.seed)
    total, seconds = sum(counts.values()), time.monotonic() - began
    for name, count in sorted(counts.items()):
        print(f"{name:24} {count:>10,}")
    print(
        f"{total:,} resources in {seconds:.1f} s ({total / seconds:,.0f}/s) in {out}",
        file=sys.stderr,
    )


def _write_bundles(out: Path, patients: int, seed: int) -> Counter[str]:
    """One file per patient; organizations and staff are conditional creates in each of them."""
    counts: Counter[str] = Counter()
    for number, record in enumerate(generate_population(patients, seed), 1):
        bundle = transaction_bundle(record)
        (out / f"patient-{number:06}.json").write_bytes(canonical_bytes(bundle))
        counts.update(entry["resource"]["resourceType"] for entry in bundle["entry"])
    return counts
