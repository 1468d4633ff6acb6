"""From one criterion to the index entries that meet it."""

from __future__ import annotations

from dataclasses import dataclass

from storage import index
from storage.index.probe import Find, Probe
from storage.query.criterion import Criterion, bad_value


@dataclass(frozen=True, slots=True)
class Alternatives:
    """The probes of one criterion (any may match), and whether a match excludes."""

    probes: list[Probe]
    excludes: bool = False


def alternatives(find: Find, resource_type: str, criterion: Criterion) -> list[Alternatives]:
    """What the index is asked for one criterion: a version must meet each of them.

    `find` gives the number of a text. Raises FhirError for bad values.
    """
    p = find(index.param_key(resource_type, criterion.param))
    if criterion.modifier == "missing":
        names = [(criterion.kind, criterion.param)]
        if criterion.kind == "reference":
            names.append(("token", criterion.param + ":identifier"))
        present = []
        for kind, name in names:
            number = find(index.param_key(resource_type, name))
            if number is not None:
                present.append(index.BY_TYPE[kind].present(number))
        return [Alternatives(present, excludes=criterion.values == ("true",))]
    # Bad values are refused also where there is nothing to search.
    probes = _probes(criterion, p if p is not None else 0, find)
    return [Alternatives(probes if p is not None else [], excludes=criterion.modifier == "not")]


def _probes(criterion: Criterion, p: int, find: Find) -> list[Probe]:
    table = index.BY_TYPE[criterion.kind]
    arguments: dict[str, str] = {}
    if criterion.kind == "reference" and criterion.modifier:
        arguments["resource_type"] = criterion.modifier
    elif criterion.modifier and criterion.modifier != "not":
        arguments["modifier"] = criterion.modifier
    probes: list[Probe] = []
    for value in criterion.values:
        try:
            probes += table.probes(p, value, find, **arguments)
        except ValueError as failure:
            raise bad_value(criterion.given, str(failure)) from None
    return probes
