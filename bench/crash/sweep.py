"""Each operation is killed at its first place, then at its second, and so on until it completes.

Some kills are followed by another one, at a place of the recovery.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crash import oracle, processes
from crash.failpoints import Failpoints
from crash.operations import Operation, Places, fill, small_steps
from crash.oracle import Expected, Row


@dataclass
class Swept:
    """What became of one operation."""

    name: str
    kills: int = 0
    open_ms: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def sweep(operation: Operation, folder: Path, *, step: int = 1, again: int = 7) -> Swept:
    """Kill at every `step`-th place; after every `again`-th kill the recovery is killed as well."""
    swept = Swept(operation.name)
    base = Places(folder / "base")
    base.base.mkdir(parents=True)
    log = _prepare(operation, base)
    place, killed = 1, True
    while killed:
        places = Places(folder / f"{place}")
        shutil.copytree(base.base, places.base)
        try:
            killed = _kill_once(operation, places, log, place, swept, again)
        except AssertionError as failure:
            swept.failures.append(f"{operation.name}, killed at place {place}: {failure}")
        else:
            shutil.rmtree(places.base)
        if len(swept.failures) > 9:
            break
        place += step
    return swept


def _prepare(operation: Operation, base: Places) -> list[Row]:
    def work(say: processes.Say) -> None:
        small_steps()
        (operation.prepare or fill)(base)
        if base.lake.exists():
            with base.open() as lake:
                say("log", oracle.rows(lake))

    said = processes.run(work).said
    return list(said[0][1]) if said else []


def _kill_once(
    operation: Operation, places: Places, log: list[Row], place: int, swept: Swept, again: int
) -> bool:
    """Whether it was killed; False when it completed."""

    def work(say: processes.Say) -> None:
        small_steps()
        failpoints = Failpoints()
        operation.run(places, say, lambda: failpoints.arm(place))
        failpoints.arm(0)

    ended = processes.run(work)
    expected = Expected(list(log))
    done = hear(ended.said, expected)
    swept.kills += ended.killed
    if ended.killed and place % again == 0:
        swept.kills += _kill_recovery(operation, places, done, place // again)
    recorded = sum(1 for message in ended.said if message[0] == "recorded")
    for message in check(operation, places, expected, done, recorded):
        swept.open_ms.append(message)
    return ended.killed


def hear(said: list[tuple[Any, ...]], expected: Expected) -> bool:
    """Take in what was said; whether the operation said that it was done."""
    expected.hear(message for message in said if message[0] in ("begin", "stored"))
    return any(message[0] not in ("begin", "stored", "recorded") for message in said)


def _kill_recovery(operation: Operation, places: Places, done: bool, place: int) -> bool:
    def work(say: processes.Say) -> None:
        small_steps()
        failpoints = Failpoints()
        failpoints.arm(place)
        lake = operation.open(places, done)
        for job in lake.eraser.unfinished():
            lake.eraser.finish(job)
        lake.close()

    return processes.run(work).killed


def check(
    operation: Operation, places: Places, expected: Expected, done: bool, recorded: int
) -> list[float]:
    """Open, finish and compare in a process of its own; milliseconds that the opening took."""

    def work(say: processes.Say) -> None:
        small_steps()
        began = time.perf_counter()
        lake = operation.open(places, done)
        say("open", (time.perf_counter() - began) * 1000)
        with lake:
            if operation.finish is not None:
                operation.finish(places, lake, expected, done)
            there = expected.check(lake)
            oracle.compare(lake, there)
            for n in range(recorded):
                audited = [("entity", f"Patient/audited-{n}")]
                assert lake.search("AuditEvent", audited).total == 1, "an audit event is lost"
            findings = lake.verify()
            assert findings == [], [str(finding) for finding in findings]
            oracle.no_orphans(lake)
            findings = lake.verify()
            assert findings == [], [str(finding) for finding in findings]

    return [message[1] for message in processes.run(work).said if message[0] == "open"]
