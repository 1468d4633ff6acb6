"""Searches by a code with its value, as populations grow: within one element, and by unit.

Run: python bench/search_composite.py [--patients N ...] [--per-patient N] [--rounds N]

Each patient has laboratory results of 40 codes. A quarter of the matches of a search are still in
the hot tier, as in a lake that is written to. No HTTP; times are those of `Lake.search`.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from storage.lake import Lake, Put

UCUM = "http://unitsofmeasure.org"
BUNDLE = 1000


def observation(number: int, patients: int, chance: random.Random) -> dict[str, Any]:
    """A result in mg/dL or g/L."""
    large = chance.random() < 0.1
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": "final",
        "code": {
            "coding": [{"system": "http://loinc.org", "code": f"{4000 + chance.randrange(40)}-1"}]
        },
        "subject": {"reference": f"Patient/p{number % patients}"},
        "effectiveDateTime": f"20{10 + number % 15}-0{1 + number % 9}-1{number % 9}",
        "valueQuantity": {
            "value": round(chance.gauss(1, 0.2), 2) if large else round(chance.gauss(100, 20)),
            "system": UCUM,
            "code": "g/L" if large else "mg/dL",
        },
    }


SEARCHES = {
    "composite, in mg/dL": [("code-value-quantity", f"http://loinc.org|4007-1$gt150|{UCUM}|mg/dL")],
    "composite, in g/L": [("code-value-quantity", f"http://loinc.org|4007-1$gt1.5|{UCUM}|g/L")],
    "composite, as written": [("code-value-quantity", "4007-1$gt150")],
    "combo composite": [("combo-code-value-quantity", f"4007-1$lt40|{UCUM}|mg/dL")],
    "code and value": [("code", "4007-1"), ("value-quantity", f"gt150|{UCUM}|mg/dL")],
}


def main() -> None:
    """Print the times of each search at each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, nargs="+", default=[1000, 4000, 16000, 64000])
    parser.add_argument("--per-patient", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    for patients in options.patients:
        with tempfile.TemporaryDirectory() as folder, Lake.open(Path(folder) / "lake") as lake:
            chance = random.Random(1)
            count = patients * options.per_patient
            for start in range(0, count, BUNDLE):
                batch = range(start, min(start + BUNDLE, count))
                lake.transact([Put(observation(n, patients, chance)) for n in batch])
                if start < 0.75 * count <= start + BUNDLE:
                    lake.flush()
            for name, query in SEARCHES.items():
                asked = [*query, ("_count", "20")]
                total = lake.search("Observation", asked).total
                times = []
                for _ in range(options.rounds):
                    begin = time.perf_counter()
                    lake.search("Observation", asked)
                    times.append((time.perf_counter() - begin) * 1000)
                p50, p95 = statistics.median(times), sorted(times)[int(0.95 * len(times))]
                print(f"{patients:>6} {name:<22} total {total:>6} p50 {p50:.1f} p95 {p95:.1f} ms")


if __name__ == "__main__":
    main()
