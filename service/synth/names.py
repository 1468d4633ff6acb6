"""Names, by the naming traditions found in the United States. Invented combinations only."""

from __future__ import annotations

from random import Random

from service.synth.tables import rows


def _read() -> dict[str, tuple[list[str], list[str], list[str]]]:
    kinds: dict[str, dict[str, list[str]]] = {}
    for row in rows("names"):
        kinds.setdefault(row["tradition"], {})[row["kind"]] = row["names"].split()
    return {name: (k["female"], k["male"], k["family"]) for name, k in kinds.items()}


_NAMES = _read()


def choose_name(random: Random, tradition: str, female: bool) -> tuple[str, list[str]]:
    """A family name and one or two given names."""
    women, men, families = _NAMES[tradition]
    pool = women if female else men
    given = [pool[int(random.random() * len(pool))]]
    if random.random() < 0.55:
        second = pool[int(random.random() * len(pool))]
        if second != given[0]:
            given.append(second)
    family = families[int(random.random() * len(families))]
    if tradition == "hispanic" and random.random() < 0.3:
        family = f"{family} {families[int(random.random() * len(families))]}"
    return family, given
