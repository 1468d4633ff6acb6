"""Transaction bundles over HTTP into a fresh lake, at the strict level: resources per second.

Systems   One `chartlake serve` process with its defaults, on this machine; notes are not read
          meanwhile (`CHARTLAKE_NLP=false`) unless `--nlp`. The clients are threads of this process,
          on the same cores, and only send bytes.
Dataset   `synth`: `chartlake synth`, one bundle a patient, references and conditional creates
          included. `synthea`: the bundles in `$CHARTLAKE_DATA/fhir/transaction_bundles`, if set.
Method    Each bundle once, by `--clients` connections. A bundle is answered when it is durable, in
          the audit log, and seen by the next search. `cpu_us`: CPU time of the service a resource
          (other work on the machine counts less). Run: python bench/transactions.py [--save]
"""

from __future__ import annotations

import argparse
import csv
import gzip
import http.client
import itertools
import os
import platform
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from processes import cpu_s

from schemas.parse import canonical_bytes, parse_json
from service.synth import generate_population, transaction_bundle

RESULTS = Path(__file__).parent / "results" / "transactions.csv"
HEADERS = {"Content-Type": "application/fhir+json"}


@contextmanager
def service(folder: Path, *, nlp: bool, workers: int) -> Iterator[tuple[int, int]]:
    """A service of its own: its port, and its process."""
    environment = {**os.environ, "CHARTLAKE_NLP": str(nlp).lower()}
    log = folder / "log"
    command = [sys.executable, "-m", "service.cli", "serve", "--port", "0"]
    command += ["--workers", str(workers)]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*command, "--data", str(folder / "lake")], env=environment, stdout=file, stderr=file
        )
    try:
        while b"FHIR base: " not in log.read_bytes():
            if process.poll() is not None:
                raise SystemExit(log.read_text())
            time.sleep(0.1)
        address = log.read_text().partition("FHIR base: ")[2].split()[0]
        yield int(address.split(":")[2].partition("/")[0]), process.pid
    finally:
        process.terminate()
        process.wait()


def post_all(port: int, bundles: list[bytes], clients: int) -> tuple[float, list[float]]:
    """Seconds for all bundles, and the milliseconds of each."""
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    for body in bundles:
        waiting.put(body)
    taken_ms: list[float] = []

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while True:
            try:
                body = waiting.get_nowait()
            except queue.Empty:
                return
            began = time.perf_counter()
            connection.request("POST", "/fhir", body, HEADERS)
            response = connection.getresponse()
            answer = response.read()
            taken_ms.append((time.perf_counter() - began) * 1000)
            if response.status != 200:
                raise SystemExit(answer.decode()[:500])

    threads = [threading.Thread(target=client) for _ in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began, taken_ms


def datasets(patients: int) -> Iterator[tuple[str, list[bytes]]]:
    """The bundles by the name of their dataset."""
    population = generate_population(patients, 11)
    yield "synth", [canonical_bytes(transaction_bundle(record)) for record in population]
    folder = Path(os.environ.get("CHARTLAKE_DATA", "")) / "fhir" / "transaction_bundles"
    paths = sorted(folder.glob("*.json.gz"))
    if paths:
        # Compact, as clients send it: half of these files is indentation.
        bundles = [parse_json(gzip.decompress(path.read_bytes())) for path in paths]
        yield "synthea", [canonical_bytes(bundle) for bundle in bundles]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--patients", type=int, default=100)
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 4])
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 0], help="0: one a core")
    parser.add_argument("--nlp", action="store_true", help="read notes meanwhile")
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name, bundles in datasets(arguments.patients):
        entries = sum(body.count(b'"request":{') for body in bundles)
        for workers, clients in itertools.product(arguments.workers, arguments.clients):
            with (
                tempfile.TemporaryDirectory() as folder,
                service(Path(folder), nlp=arguments.nlp, workers=workers) as (port, process),
            ):
                warm, measured = bundles[:3], bundles[3:]
                post_all(port, warm, 1)
                used = cpu_s(process)
                seconds, taken_ms = post_all(port, measured, clients)
                used = cpu_s(process) - used
            done = entries - sum(body.count(b'"request":{') for body in warm)
            rows.append(
                {
                    "dataset": name,
                    "workers": workers or os.cpu_count(),
                    "clients": clients,
                    "nlp": arguments.nlp,
                    "bundles": len(measured),
                    "resources": done,
                    "bytes_a_resource": sum(map(len, measured)) // done,
                    "resources_per_s": round(done / seconds),
                    "cpu_us": round(used / done * 1e6),
                    "p50_ms": round(statistics.median(taken_ms)),
                    "max_ms": round(max(taken_ms)),
                    "load": round(os.getloadavg()[0], 1),
                    "python": platform.python_version(),
                    "cores": os.cpu_count(),
                }
            )
            print(rows[-1], flush=True)
    if arguments.save:
        RESULTS.parent.mkdir(exist_ok=True)
        with RESULTS.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
