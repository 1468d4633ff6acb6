"""Creates, reads and searches over HTTP: requests per second, latency, processor time of each side.

The client is beside the service on the same cores: asyncio over bare sockets, one process, a small
part of the service's work (its share is reported). Creates are durable; every access has its audit
event on the disk before the answer. Observations of synthetic patients; reads and searches are of a
random patient each.

Run: python bench/http_interactions.py [--workers 1,0] [--patients N] [--clients N] [--seconds S]
[--save]
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import importlib.util
import json
import os
import platform
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from processes import cpu_s, memory_mib

from service.client import Chartlake

RESULTS = Path(__file__).parent / "results" / "http_interactions.csv"
CODES = ("8867-4", "8310-5", "9279-1", "29463-7", "8302-2")

Make = Callable[[], bytes]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--patients", type=int, default=1_000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--cases", default="", help="only those whose names begin so, by commas")
    parser.add_argument("--workers", default="1,0", help="settings to compare; 0: one a core")
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    print(
        f"Systems: {os.cpu_count()} cores, Python {platform.python_version()}, load "
        f"{os.getloadavg()[0]:.1f}; Datasets: {arguments.patients} patients with 20 observations; "
        f"Method: {arguments.clients} clients beside the service, keep-alive, asyncio"
    )
    rows = []
    wanted = tuple(arguments.cases.split(","))
    for workers in map(int, arguments.workers.split(",")):
        rows += run(workers, arguments, wanted)
    if arguments.save:
        RESULTS.parent.mkdir(exist_ok=True)
        with RESULTS.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


def run(workers: int, arguments: argparse.Namespace, wanted: tuple[str, ...]) -> list[Any]:
    """All cases against one service."""
    rows = []
    host = "127.0.0.1"
    with (
        tempfile.TemporaryDirectory() as folder,
        service(Path(folder) / "lake", workers) as (process, port),
    ):
        lake = Chartlake(f"http://{host}:{port}")
        for start in range(0, arguments.patients, 100):
            last = min(start + 100, arguments.patients)
            lake.post_bundle(json.dumps(bundle(range(start, last))).encode())
        for name, make in cases(arguments.patients).items():
            if not name.startswith(wanted):
                continue
            load = os.getloadavg()[0]
            measured = measure(host, port, make, arguments.clients, arguments.seconds, process)
            row = {"workers": workers or os.cpu_count(), "case": name}
            row |= {"clients": arguments.clients, **measured, "load": round(load, 1)}
            row |= {"cores": os.cpu_count(), "python": platform.python_version()}
            row["httptools"] = importlib.util.find_spec("httptools") is not None
            row["uvloop"] = importlib.util.find_spec("uvloop") is not None
            row["memory_mib"] = round(memory_mib(process))
            rows.append(row)
            print(row)
    return rows


def cases(patients: int) -> dict[str, Make]:
    """Each makes a request's bytes."""
    rng = random.Random(4)

    def get(path: str) -> bytes:
        return f"GET /fhir/{path} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n".encode()

    def create() -> bytes:
        body = json.dumps(observation(rng.randrange(patients), rng.randrange(20))).encode()
        return (
            "POST /fhir/Observation HTTP/1.1\r\nHost: localhost\r\nPrefer: return=minimal\r\n"
            f"Content-Type: application/fhir+json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body

    def patient() -> int:
        return rng.randrange(patients)

    return {
        "health": lambda: b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "create": create,
        "read": lambda: get(f"Patient/p{patient()}"),
        "read again (304)": lambda: get(f"Patient/p{patient()}").replace(
            b"\r\n\r\n", b'\r\nIf-None-Match: W/"1"\r\n\r\n'
        ),
        "search, patient and code": lambda: get(
            f"Observation?patient=p{patient()}&code={rng.choice(CODES)}&_count=10"
        ),
        "search, patient, sorted": lambda: get(
            f"Observation?patient=p{patient()}&_sort=-date&_count=10"
        ),
    }


def bundle(patients: range) -> dict[str, Any]:
    """A transaction with patients and their observations."""
    entries: list[dict[str, Any]] = []
    for number in patients:
        patient = {"resourceType": "Patient", "id": f"p{number}", "gender": "female"}
        patient["birthDate"] = f"{1930 + number % 80}-05-01"
        patient["name"] = [{"family": f"Family{number}", "given": ["Ann"]}]
        put = {"method": "PUT", "url": f"Patient/p{number}"}
        entries.append({"resource": patient, "request": put})
        post = {"method": "POST", "url": "Observation"}
        entries += [{"resource": observation(number, n), "request": post} for n in range(20)]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def observation(patient: int, number: int) -> dict[str, Any]:
    """A vital sign."""
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [{"system": system, "code": "vital-signs"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": CODES[number % 5]}]},
        "subject": {"reference": f"Patient/p{patient}"},
        "effectiveDateTime": f"2024-{1 + number % 12:02}-01T10:00:00Z",
        "valueQuantity": {
            "value": 60 + number,
            "unit": "/min",
            "system": "http://unitsofmeasure.org",
            "code": "/min",
        },
    }


def measure(
    host: str, port: int, make: Make, clients: int, seconds: float, process: int
) -> dict[str, Any]:
    """Requests answered, after half a second to warm up."""
    taken: list[float] = []
    statuses: dict[int, int] = {}

    async def client(until: float) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        while time.perf_counter() < until:
            writer.write(make())
            began = time.perf_counter()
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
            if length and int(length):
                await reader.readexactly(int(length))
            taken.append(time.perf_counter() - began)
            status = int(head[9:12])
            statuses[status] = statuses.get(status, 0) + 1
        writer.close()

    async def run(length: float) -> None:
        until = time.perf_counter() + length
        await asyncio.gather(*(client(until) for _ in range(clients)))

    asyncio.run(run(0.5))
    taken.clear()
    statuses.clear()
    began, own, theirs = time.perf_counter(), time.process_time(), cpu_s(process)
    asyncio.run(run(seconds))
    wall, own, theirs = (
        time.perf_counter() - began,
        time.process_time() - own,
        cpu_s(process) - theirs,
    )
    assert set(statuses) <= {200, 201, 304}, statuses
    taken.sort()
    return {
        "per_s": round(len(taken) / wall),
        "service_cpu_us": round(theirs / len(taken) * 1e6),
        "client_cpu_us": round(own / len(taken) * 1e6),
        "median_ms": round(statistics.median(taken) * 1e3, 2),
        "p99_ms": round(taken[len(taken) * 99 // 100] * 1e3, 2),
    }


@contextmanager
def service(folder: Path, workers: int) -> Iterator[tuple[int, int]]:
    """A service that reads no notes: its process and port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "service.cli", "serve", "--data", str(folder), "--no-nlp"]
    command += ["--port", str(port), "--workers", str(workers)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        with Chartlake(f"http://127.0.0.1:{port}") as lake:
            while not lake.is_ready():
                time.sleep(0.1)
        yield process.pid, port
    finally:
        process.terminate()
        process.wait(timeout=60)


if __name__ == "__main__":
    sys.exit(main())
