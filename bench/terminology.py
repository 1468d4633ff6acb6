"""Value sets: whether a code is in one, lists of them, and searches by them, in both tiers.

Systems   One process, one thread. `contains`: `Terminology.contains` of a value set that is
          compiled. `expand`: the answer of `$expand` without the HTTP around it: a page of 1,000,
          one of 20,000, 20 by a filter. `search`: `Lake.search` of Conditions by `code:in`, first
          page of 50 with its total, hot and flushed.
Dataset   A code system of `--codes` codes of which a value set has every one, as resources of the
          lake; `--conditions` Conditions with 2,000 different codes, half of them in it.
Method    CPU time of the thread; median of nine runs; `first` is the first after all was stored.
          Run: python bench/terminology.py [--codes N] [--conditions N]
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from schemas.terminology.expansion import Options, expand
from storage.lake import Lake, Put

URL = "http://example.org/codes"
GENDER = "http://hl7.org/fhir/ValueSet/administrative-gender"


def definitions(count: int) -> list[Put]:
    concepts = [{"code": f"c{n:07}", "display": f"Thing number {n}"} for n in range(count)]
    system = {
        "resourceType": "CodeSystem",
        "id": "codes",
        "url": URL,
        "status": "active",
        "content": "complete",
        "caseSensitive": True,
        "concept": concepts,
    }
    value_set = {
        "resourceType": "ValueSet",
        "id": "codes",
        "url": URL,
        "status": "active",
        "compose": {"include": [{"system": URL}]},
    }
    return [Put(system), Put(value_set)]


def condition(n: int, code: str) -> Put:
    coding = {"system": URL, "code": code}
    return Put(
        {
            "resourceType": "Condition",
            "id": f"r{n}",
            "subject": {"reference": f"Patient/p{n % 1000}"},
            "code": {"coding": [coding]},
        }
    )


def median_ms(work: Callable[[], Any], times: int = 9) -> float:
    taken = []
    for _ in range(times):
        before = time.thread_time()
        work()
        taken.append((time.thread_time() - before) * 1e3)
    return statistics.median(taken)


def first_ms(work: Callable[[], Any]) -> float:
    before = time.thread_time()
    work()
    return (time.thread_time() - before) * 1e3


def contains_us(work: Callable[[], Any], count: int = 20_000) -> float:
    before = time.thread_time()
    for _ in range(count):
        work()
    return (time.thread_time() - before) / count * 1e6


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--codes", type=int, default=10_000)
    parser.add_argument("--conditions", type=int, default=20_000)
    asked = parser.parse_args()
    chosen = random.Random(1)
    with (
        tempfile.TemporaryDirectory(prefix="chartlake-bench-") as name,
        Lake.open(Path(name) / "lake") as lake,
    ):
        lake.transact(definitions(asked.codes))
        find = lake.canonicals.terminology
        compiled = first_ms(lambda: find().value_set(URL).entries())
        print(f"first use of the value set    {compiled:9.1f} ms")
        yes = contains_us(lambda: find().contains(URL, URL, "c0000042"))
        no = contains_us(lambda: find().contains(URL, URL, "nothing"))
        own = contains_us(lambda: find().contains(GENDER, None, "female"))
        print(f"contains: yes, no, R4's own   {yes:9.2f} {no:9.2f} {own:9.2f} µs")
        value_set = find().value_set(URL)
        page = median_ms(lambda: expand(value_set, Options(offset=0, count=1000)))
        whole = median_ms(lambda: expand(value_set, Options(offset=0, count=20_000)))
        words = median_ms(lambda: expand(value_set, Options(filter="thing 4", count=20)))
        print(f"expand: 1,000, 20,000, filter {page:9.1f} {whole:9.1f} {words:9.1f} ms")
        codes = [f"c{chosen.randrange(asked.codes * 2):07}" for _ in range(2_000)]
        for start in range(0, asked.conditions, 2_000):
            lake.transact([condition(n, chosen.choice(codes)) for n in range(start, start + 2_000)])
        for tier in ("hot", "flushed"):
            if tier == "flushed":
                lake.flush()
            first = first_ms(lambda: lake.search("Condition", [("code:in", URL)]))
            inside = median_ms(lambda: lake.search("Condition", [("code:in", URL)]))
            outside = median_ms(lambda: lake.search("Condition", [("code:not-in", URL)]))
            print(f"{tier:8} first, in, not-in     {first:9.1f} {inside:9.1f} {outside:9.1f} ms")


if __name__ == "__main__":
    main()
