"""Searches over HTTP: the mix of REST clients, at populations of different size, and under writes.

Systems   one `chartlake serve` process (`--url` for one that runs already), audit of reads as
          configured; the client on the same cores, stated with the numbers.
Dataset   `chartlake synth`, `--patients` of each size (patients, encounters, observations,
          organizations, staff), loaded into a lake in-process, flushed and compacted.
Method    `patient`: Observations of one patient, of one code, since a date, sorted by date, 20 a
          page; `value`: code and value-quantity; `composite`: the two in one; `name`: a prefix of a
          name; `chain`:
          subject:Patient.birthdate with a code; `has`: _has:Observation:patient:code;
          `revinclude`: a patient with the encounters that refer to it. Each request asks for
          another patient, year or prefix. `--clients` threads; wall time of requests, and
          CPU time of the server for one (other work on the machine counts less), in ms.
          `--writes`: a client creates Observations meanwhile and looks each up right after.
          `--keep FOLDER`: lakes stay there and are used again, since a large one takes long to
          fill; those that `--writes` grew differ from new ones.
          Run: python bench/search.py [--patients 1000 4000 …] [--seconds S] [--save]
"""

from __future__ import annotations

import argparse
import csv
import http.client
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from processes import cpu_s

from service.synth import generate_population
from storage.lake import Lake, Put

RESULTS = Path(__file__).parent / "results" / "search.csv"
CODE = "http://loinc.org|8302-2"
CODES = tuple(f"http://loinc.org|{code}" for code in ("8302-2", "29463-7", "39156-5", "4548-4"))
KINDS = frozenset({"Patient", "Observation", "Encounter", "Organization", "Practitioner"})
BATCH = 2_000

Ask = Callable[[int], str]


def filled(path: Path, patients: int) -> tuple[list[str], int]:
    """Make a lake, or take the one of an earlier run; its patients, and how many resources."""
    known = path.parent / "population.json"
    if known.exists():
        population = json.loads(known.read_text())
        return population["patients"], population["resources"]
    shutil.rmtree(path, ignore_errors=True)  # What a run that broke off left.
    ids: list[str] = []
    count, waiting = 0, []
    with Lake.open(path) as lake:
        for record in generate_population(patients, 11):
            kept = [one for one in record.resources if one["resourceType"] in KINDS]
            ids += [one["id"] for one in kept if one["resourceType"] == "Patient"]
            waiting += [Put(one) for one in kept]
            count += len(kept)
            if len(waiting) > BATCH:
                lake.transact(waiting)
                waiting = []
        if waiting:
            lake.transact(waiting)
        lake.flush()
        lake.compact()
    known.write_text(json.dumps({"patients": ids, "resources": count}))
    return ids, count


def questions(ids: list[str]) -> dict[str, Ask]:
    """What is asked, by name; the number makes each request another one."""

    def ask(kind: str, **params: str) -> Ask:
        def url(n: int) -> str:
            given = {
                name.replace("__", ":").replace("_dot_", "."): value.format(
                    p=ids[n * 7919 % len(ids)],
                    year=1940 + n * 31 % 70,
                    value=100 + n * 13 % 80,
                    prefix=("an", "ma", "jo", "el", "li")[n % 5],
                    code=CODES[n % len(CODES)],
                )
                for name, value in params.items()
            }
            return f"/fhir/{kind}?{urlencode(given)}"

        return url

    return {
        "patient": ask(
            "Observation", patient="{p}", code=CODE, date="ge2000", _sort="-date", _count="20"
        ),
        "value": ask("Observation", code=CODE, **{"value-quantity": "gt{value}"}, _count="20"),
        "composite": ask(
            "Observation", **{"code-value-quantity": f"{CODE}$gt{{value}}"}, _count="20"
        ),
        "name": ask("Patient", name="{prefix}", _count="20"),
        "chain": ask(
            "Observation", code=CODE, subject__Patient_dot_birthdate="{year}", _count="20"
        ),
        "has": ask("Patient", _has__Observation__patient__code="{code}", _count="20"),
        "revinclude": ask("Patient", _id="{p}", _revinclude="Encounter:subject"),
    }


class Client:
    """One kept-alive connection."""

    def __init__(self, url: str) -> None:
        self._at = urlsplit(url).netloc
        self._connection = http.client.HTTPConnection(self._at)

    def get(self, path: str) -> tuple[int, bytes]:
        self._connection.request("GET", path, headers={"Accept": "application/fhir+json"})
        response = self._connection.getresponse()
        return response.status, response.read()

    def post(self, path: str, resource: dict[str, Any]) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/fhir+json"}
        self._connection.request("POST", path, json.dumps(resource), headers)
        response = self._connection.getresponse()
        return response.status, response.read()


def measured(url: str, ask: Ask, clients: int, seconds: float, pid: int) -> dict[str, Any]:
    """Rate, latencies and CPU time of the server for one question."""
    waits: list[float] = []
    used = cpu_s(pid)
    begun = time.perf_counter()
    deadline = begun + seconds
    failures: list[str] = []

    def work(number: int) -> None:
        client = Client(url)
        mine = []
        while time.perf_counter() < deadline:
            before = time.perf_counter()
            status, body = client.get(ask(number))
            mine.append(time.perf_counter() - before)
            if status != 200:
                failures.append(body.decode()[:300])
                return
            number += clients
        waits.extend(mine)

    workers = [threading.Thread(target=work, args=(n,)) for n in range(clients)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    if failures:
        raise SystemExit(failures[0])
    wall, used = time.perf_counter() - begun, cpu_s(pid) - used
    waits.sort()
    return {
        "requests": len(waits),
        "per_s": round(len(waits) / wall),
        "p50_ms": round(statistics.median(waits) * 1e3, 2),
        "p95_ms": round(waits[len(waits) * 95 // 100] * 1e3, 2),
        "server_cpu_ms": round(used / len(waits) * 1e3, 2),
    }


def writing(url: str, patient: str, stop: threading.Event) -> int:
    """Create Observations and look each up right after; how many. Exits when one is not found."""
    client, count = Client(url), 0
    # A lake that is used again has what earlier runs wrote.
    run = uuid.uuid4().hex
    while not stop.is_set():
        code = f"written-{run}-{count}"
        resource = {
            "resourceType": "Observation",
            "status": "final",
            "code": {"coding": [{"system": "urn:bench", "code": code}]},
            "subject": {"reference": f"Patient/{patient}"},
        }
        status, _ = client.post("/fhir/Observation", resource)
        assert status == 201, status
        query = urlencode({"patient": patient, "code": f"urn:bench|{code}"})
        status, body = client.get(f"/fhir/Observation?{query}")
        if status != 200 or json.loads(body)["total"] != 1:
            raise SystemExit("what was acknowledged is not in the next search")
        count += 1
    return count


def served(folder: Path, workers: int) -> tuple[subprocess.Popen[bytes], str]:
    """A service on the lake, once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "service.cli", "serve", "--data", str(folder)]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--workers", str(workers)],
        env={**os.environ, "CHARTLAKE_NLP": "false"},
        stdout=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            if Client(url).get("/healthz")[0] == 200:
                return process, url
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the service did not start")


def of_size(folder: Path, patients: int, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows of one population."""
    ids, resources = filled(folder, patients)
    return [
        {"workers": workers or os.cpu_count(), **row}
        for workers in arguments.workers
        for row in _of_service(folder, workers, ids, patients, resources, arguments)
    ]


def _of_service(
    folder: Path,
    workers: int,
    ids: list[str],
    patients: int,
    resources: int,
    arguments: argparse.Namespace,
) -> list[dict[str, Any]]:
    process, url = served(folder, workers)
    rows = []
    try:
        for name, ask in questions(ids).items():
            if arguments.only and name not in arguments.only:
                continue
            measured(url, ask, arguments.clients, arguments.seconds / 4, process.pid)  # Warm.
            row = {"patients": patients, "resources": resources, "what": name}
            rows.append(row | measured(url, ask, arguments.clients, arguments.seconds, process.pid))
        if arguments.writes:
            stop, written = threading.Event(), []
            writer = threading.Thread(target=lambda: written.append(writing(url, ids[0], stop)))
            writer.start()
            ask = questions(ids)["patient"]
            row = {"patients": patients, "resources": resources, "what": "patient, under writes"}
            rows.append(row | measured(url, ask, arguments.clients, arguments.seconds, process.pid))
            stop.set()
            writer.join()
            if not written:
                raise SystemExit("the writer failed")
            print(f"written and found at once: {written[0]}")
    finally:
        process.terminate()
        process.wait(30)
    return rows


def growth(rows: list[dict[str, Any]]) -> None:
    """Add to each row how many times the p50 of the least population its own is; print them."""
    first: dict[str, float] = {}
    for row in rows:
        row["p50_ratio"] = round(row["p50_ms"] / first.setdefault(row["what"], row["p50_ms"]), 2)
    sizes = sorted({row["patients"] for row in rows})
    print("p50, times that at the least population:")
    print(f"{'':24}" + "".join(f"{size:>12,}" for size in sizes))
    for name in first:
        ratios = [row["p50_ratio"] for row in rows if row["what"] == name]
        print(f"{name:24}" + "".join(f"{ratio:>12.2f}" for ratio in ratios))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--patients", type=int, nargs="+", default=[1_000, 4_000])
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--writes", action="store_true")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 0], help="0: one a core")
    parser.add_argument("--only", nargs="+", help="names of questions")
    parser.add_argument("--keep", type=Path, help="where lakes stay for the next run")
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    print(
        f"Systems: {os.cpu_count()} cores, {platform.machine()}, Python "
        f"{platform.python_version()}, {arguments.clients} clients on the same cores"
    )
    rows: list[dict[str, Any]] = []
    for patients in arguments.patients:
        kept = arguments.keep and arguments.keep / str(patients)
        at = kept or Path(tempfile.mkdtemp(prefix="chartlake-bench-"))
        at.mkdir(parents=True, exist_ok=True)
        try:
            rows += of_size(at / "lake", patients, arguments)
        finally:
            if not kept:
                shutil.rmtree(at, ignore_errors=True)
        for row in rows:
            if row["patients"] == patients:
                print("  ".join(f"{name}={value}" for name, value in row.items()))
    growth(rows)
    if arguments.save:
        with RESULTS.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
