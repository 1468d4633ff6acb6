"""What goes into an export: resources as of one commit, by type or by patient.

Of everything, or of all or many patients, the types are gone through one after another in columns
(`rows`). Of few patients, and where the output is organised by patient, each patient's compartment
is searched. A Provenance comes with what it is about, and what records refer to (`SUPPORTING` of
the request) with them; neither is in a Patient compartment by R4's definition.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.compartments import PATIENT_PARAMS, patient_ids
from schemas.dates import MIN_US, date_range
from schemas.parse import canonical_bytes, parse_resource
from storage.bulk_export.export_files import ExportFiles
from storage.bulk_export.output import ExportedFile, NdjsonOutput, ParquetOutput
from storage.bulk_export.rows import Wanted, current_rows
from storage.erase.references import references
from storage.lake_at import LakeAt
from storage.listing import all_pages
from storage.query.scope import Scope
from storage.reading import present
from storage.segment_columns import schema as segment_schema

FEW_PATIENTS = 500
"""Up to so many patients their compartments are searched rather than all types gone through."""

PROVENANCE = "Provenance"
_PATIENT = re.compile(rb'"Patient/([A-Za-z0-9\-.]{1,64})(?=["/|])')
_NOT_EXPORTED = ("v", "t", "method", "deleted")
_TARGETS_AT_ONCE = 100

Represent = Callable[[str, bytes], bytes]
"""The line of a resource, from its type and its body."""


@dataclass(frozen=True)
class Selection:
    """Which resources. `patients`: None for everything in the lake, whoever's it is.

    `all_patients`: of whoever has a record. `ids`: of a type these only. `provenance`: with those
    about what is exported (`latest`: of each the last one); `types` has not their type then.
    """

    types: Sequence[str]
    supporting: Sequence[str] = ()
    patients: frozenset[str] | None = None
    all_patients: bool = False
    since: datetime | None = None
    until: datetime | None = None
    ids: Mapping[str, frozenset[str]] = field(default_factory=dict)
    provenance: bool = False
    latest: bool = False

    def wanted(self, resource_type: str) -> Wanted:
        """The conditions of a type that its columns tell."""
        ids = self.ids.get(resource_type)
        values = None if ids is None else pa.array(sorted(ids), pa.string())
        return Wanted(self.since, self.until, values)

    def has(self, resource_type: str, id: str, last_updated: datetime) -> bool:
        """The same for one resource."""
        ids = self.ids.get(resource_type)
        return (
            (ids is None or id in ids)
            and (self.since is None or last_updated > self.since)
            and (self.until is None or last_updated <= self.until)
        )


class Content:
    """Writes one export; `run` gives the words of its progress and may be left between them."""

    def __init__(
        self,
        view: LakeAt,
        selection: Selection,
        files: ExportFiles,
        export: str,
        key: str,
        represent: Represent | None,
    ) -> None:
        """`represent`: None for bodies as they are."""
        self._view = view
        self._selection = selection
        self._files, self._export, self._key = files, export, key
        self._represent = represent
        self._exported = array("Q")
        self._known: np.ndarray | None = None
        self._referred: set[tuple[str, str]] = set()
        self._supporting = _pattern(selection.supporting)
        self._seen: set[int] = set()
        self._open: list[NdjsonOutput | ParquetOutput] = []
        self.count = 0
        self.files: list[ExportedFile] = []

    def run(self, *, parquet: bool = False, by_patient: bool = False) -> Iterator[str]:
        """Write all files. Raises FhirError when the lake cannot be read on."""
        try:
            yield from self._run(parquet=parquet, by_patient=by_patient)
        except BaseException:
            for output in self._open:
                output.abandon()
            raise

    def _run(self, *, parquet: bool, by_patient: bool) -> Iterator[str]:
        if by_patient:
            yield from self._records_apart()
            return
        patients = self._selection.patients
        if patients is not None and len(patients) <= FEW_PATIENTS and not parquet:
            yield from self._few_records()
        else:
            for resource_type in self._selection.types:
                yield from self._type(resource_type, parquet)
        if self._supporting is not None:
            yield from self._supporting_resources(parquet)
        if self._selection.provenance:
            yield from self._provenances(parquet)

    # Types one after another

    def _type(self, resource_type: str, parquet: bool) -> Iterator[str]:
        output = self._output(resource_type, parquet)
        names = self._columns(resource_type, parquet)
        wanted = self._selection.wanted(resource_type)
        snapshot = self._view.snapshot()
        for table in current_rows(snapshot, resource_type, wanted, names):
            found = self._of_the_patients(resource_type, table)
            if found.num_rows:
                self._note(resource_type, found)
                self._write(output, resource_type, found, names)
                yield self._progress(resource_type)
        self._close(output)

    def _columns(self, resource_type: str, parquet: bool) -> list[str]:
        if not parquet:
            return ["id", "patient_id", "body"]
        return [name for name in segment_schema(resource_type).names if name not in _NOT_EXPORTED]

    def _of_the_patients(self, resource_type: str, table: pa.Table) -> pa.Table:
        selection = self._selection
        if selection.all_patients:
            return table.filter(pc.is_valid(table["patient_id"]))
        if selection.patients is None:
            return table
        owners = pa.array(sorted(selection.patients), pa.string())
        keep = pc.is_in(table["patient_id"], value_set=owners)
        others = pc.and_(pc.is_valid(table["patient_id"]), pc.invert(keep))
        if not pc.any(others).as_py():
            return table.filter(keep)
        # In the compartment of a member, but first of all in somebody else's.
        mask = keep.combine_chunks().to_numpy(zero_copy_only=False).copy()
        for row in np.flatnonzero(others.combine_chunks().to_numpy(zero_copy_only=False)):
            body = table["body"][int(row)].as_py()
            mask[row] = self._is_shared(body)
        return table.filter(pa.array(mask))

    def _is_shared(self, body: bytes) -> bool:
        patients = self._selection.patients or frozenset()
        if not any(id.decode() in patients for id in _PATIENT.findall(body)):
            return False
        return not patients.isdisjoint(patient_ids(parse_resource(body)))

    def _write(
        self,
        output: NdjsonOutput | ParquetOutput,
        resource_type: str,
        table: pa.Table,
        names: Sequence[str],
    ) -> None:
        self.count += table.num_rows
        if isinstance(output, ParquetOutput):
            output.add_rows(_as_view(resource_type, table, names))
            return
        bodies = table["body"].to_pylist()
        if self._represent is not None:
            bodies = [self._represent(resource_type, body) for body in bodies]
        output.add(bodies)

    def _note(self, resource_type: str, table: pa.Table) -> None:
        """Remember what was exported, and what that refers to, as far as it is asked later."""
        if self._selection.provenance:
            self._exported.extend(_digest(resource_type, id) for id in table["id"].to_pylist())
        if self._supporting is not None:
            for body in table["body"].to_pylist():
                self._refer(body)

    def _refer(self, body: bytes) -> None:
        if self._supporting is not None:
            for kind, id in self._supporting.findall(body):
                self._referred.add((kind.decode(), id.decode()))

    # Patient by patient

    def _few_records(self) -> Iterator[str]:
        outputs: dict[str, NdjsonOutput] = {}
        for number, patient in enumerate(sorted(self._selection.patients or ()), 1):
            for resource_type, id, body in self._record(patient):
                key = _digest(resource_type, id)
                if key in self._seen:
                    continue  # In the record of two patients.
                self._seen.add(key)
                output = outputs.get(resource_type)
                if output is None:
                    output = outputs[resource_type] = self._ndjson(resource_type)
                output.add([self._line(resource_type, body)])
                self.count += 1
            yield f"{number} patients, {self.count} resources"
        for name in sorted(outputs):
            self._close(outputs[name])
        self._exported.extend(self._seen)

    def _record(self, patient: str) -> Iterator[tuple[str, str, bytes]]:
        """Type, id and body of what is in a patient's compartment and selected."""
        types = tuple(one for one in self._selection.types if one in PATIENT_PARAMS)
        if "Patient" in self._selection.types:
            version = present(self._view.read, "Patient", patient)
            if version is not None and self._selection.has(
                "Patient", patient, version.last_updated
            ):
                self._refer(version.body)
                yield "Patient", patient, version.body
        members = tuple(one for one in types if one != "Patient")
        if not members:
            return
        scope = Scope(members, ("Patient", patient))
        for page in all_pages(self._view, scope, []):
            for version in page.versions:
                if self._selection.has(version.resource_type, version.id, version.last_updated):
                    self._refer(version.body)
                    yield version.resource_type, version.id, version.body

    def _records_apart(self) -> Iterator[str]:
        """Files of whole records, each under a header that names the patient."""
        output = NdjsonOutput(self._files, self._export, self._key, "patients", kind="")
        self._open.append(output)
        for number, patient in enumerate(self._all_patients(), 1):
            header = {"name": "header", "valueReference": {"reference": f"Patient/{patient}"}}
            lines = [canonical_bytes({"resourceType": "Parameters", "parameter": [header]})]
            keys = set()
            for resource_type, id, body in self._record(patient):
                keys.add((resource_type, id))
                lines.append(self._line(resource_type, body))
            if self._selection.provenance:
                lines += self._provenances_of(keys)
            if len(lines) > 1:
                # At once: a record is in one file, from its header to its end.
                output.add(lines, count=len(lines) - 1)
                self.count += len(lines) - 1
            yield f"{number} patients, {self.count} resources"
        self._close(output)

    def _all_patients(self) -> Iterable[str]:
        if self._selection.patients is not None:
            return sorted(self._selection.patients)
        tables = current_rows(self._view.snapshot(), "Patient", Wanted(), ["id"])
        return sorted(id for table in tables for id in table["id"].to_pylist())

    def _provenances_of(self, keys: set[tuple[str, str]]) -> list[bytes]:
        wanted = [f"{kind}/{id}" for kind, id in sorted(keys)]
        found: dict[str, tuple[str, bytes]] = {}
        for begin in range(0, len(wanted), _TARGETS_AT_ONCE):
            named = ",".join(wanted[begin : begin + _TARGETS_AT_ONCE])
            for page in all_pages(self._view, PROVENANCE, [("target", named)]):
                for version in page.versions:
                    if self._selection.has(PROVENANCE, version.id, version.last_updated):
                        found[version.id] = (version.id, version.body)
        if self._selection.latest:
            chosen = _latest((id, body, references(body) & keys) for id, body in found.values())
            found = {id: found[id] for id in sorted(chosen)}
        return [self._line(PROVENANCE, body) for _, body in found.values()]

    # What comes with it

    def _supporting_resources(self, parquet: bool) -> Iterator[str]:
        """What the records refer to, and what that refers to; never what is other patients'."""
        done: set[tuple[str, str]] = set()
        bodies: dict[str, dict[str, bytes]] = {}
        while ahead := sorted(self._referred - done):
            done |= set(ahead)
            self._referred = set()
            for kind, id in ahead:
                version = present(self._view.read, kind, id)
                if version is None or self._is_of_others(version.body):
                    continue
                self._refer(version.body)
                if self._selection.has(kind, id, version.last_updated):
                    bodies.setdefault(kind, {})[id] = version.body
            self._referred |= done
        for kind in sorted(bodies):
            if parquet:
                ids = pa.array(sorted(bodies[kind]), pa.string())
                output, names = self._output(kind, parquet), self._columns(kind, parquet)
                wanted = Wanted(self._selection.since, self._selection.until, ids)
                for table in current_rows(self._view.snapshot(), kind, wanted, names):
                    self._write(output, kind, table, names)
            else:
                output = self._ndjson(kind)
                output.add([self._line(kind, body) for body in bodies[kind].values()])
                self.count += len(bodies[kind])
            self._exported.extend(_digest(kind, id) for id in bodies[kind])
            self._close(output)
            yield self._progress(kind)

    def _is_of_others(self, body: bytes) -> bool:
        named = {id.decode() for id in _PATIENT.findall(body)}
        patients = self._selection.patients
        return bool(named) and patients is not None and named.isdisjoint(patients)

    def _provenances(self, parquet: bool) -> Iterator[str]:
        output = self._output(PROVENANCE, parquet)
        names = self._columns(PROVENANCE, parquet)
        wanted = self._selection.wanted(PROVENANCE)
        chosen = self._latest_provenances(wanted) if self._selection.latest else None
        for table in current_rows(self._view.snapshot(), PROVENANCE, wanted, names):
            if chosen is not None:
                found = table.filter(pc.is_in(table["id"], value_set=chosen))
            else:
                keep = [bool(self._about(body)) for body in table["body"].to_pylist()]
                found = table.filter(pa.array(keep, pa.bool_()))
            if found.num_rows:
                self._write(output, PROVENANCE, found, names)
                yield self._progress(PROVENANCE)
        self._close(output)

    def _latest_provenances(self, wanted: Wanted) -> pa.Array:
        tables = current_rows(self._view.snapshot(), PROVENANCE, wanted, ["id", "body"])
        found = (
            (id, body, self._about(body))
            for table in tables
            for id, body in zip(table["id"].to_pylist(), table["body"].to_pylist(), strict=True)
        )
        return pa.array(sorted(_latest(found)), pa.string())

    def _about(self, body: bytes) -> set[tuple[str, str]]:
        """The exported resources that a Provenance is about."""
        targets = parse_resource(body).get("target", [])
        keys = {
            key
            for target in targets
            if isinstance(target, dict) and isinstance(target.get("reference"), str)
            for key in references(b'"' + target["reference"].encode() + b'"')
        }
        return {key for key in keys if self._has_exported(key)}

    def _has_exported(self, key: tuple[str, str]) -> bool:
        if self._known is None:
            self._known = np.sort(np.frombuffer(self._exported, np.uint64))
        digest = np.uint64(_digest(*key))
        at = int(np.searchsorted(self._known, digest))
        return at < len(self._known) and bool(self._known[at] == digest)

    # Files

    def _line(self, resource_type: str, body: bytes) -> bytes:
        return body if self._represent is None else self._represent(resource_type, body)

    def _ndjson(self, resource_type: str) -> NdjsonOutput:
        output = NdjsonOutput(self._files, self._export, self._key, resource_type)
        self._open.append(output)
        return output

    def _output(self, resource_type: str, parquet: bool) -> NdjsonOutput | ParquetOutput:
        if not parquet:
            return self._ndjson(resource_type)
        output = ParquetOutput(self._files, self._export, self._key, resource_type)
        self._open.append(output)
        return output

    def _close(self, output: NdjsonOutput | ParquetOutput) -> None:
        output.close()
        self._open.remove(output)
        self.files += output.written

    def _progress(self, resource_type: str) -> str:
        return f"{self.count} resources, at {resource_type}"


def _pattern(types: Sequence[str]) -> re.Pattern[bytes] | None:
    if not types:
        return None
    names = "|".join(sorted(types))
    return re.compile(rf'"({names})/([A-Za-z0-9\-.]{{1,64}})(?=["/|])'.encode())


def _digest(resource_type: str, id: str) -> int:
    """64 bits; two of ten million resources share one once in 400,000 exports."""
    return hash((resource_type, id)) & 0xFFFFFFFFFFFFFFFF


def _latest(found: Iterable[tuple[str, bytes, set[tuple[str, str]]]]) -> set[str]:
    """The ids of the Provenances that are the last of some resource."""
    last: dict[tuple[str, str], tuple[int, str]] = {}
    for id, body, keys in found:
        recorded_us = _recorded_us(body)
        for key in keys:
            last[key] = max(last.get(key, (MIN_US, "")), (recorded_us, id))
    return {id for _, id in last.values()}


def _recorded_us(body: bytes) -> int:
    """When a Provenance was recorded; before all others where it does not say so in R4's form."""
    text = parse_resource(body).get("recorded")
    try:
        return date_range(text)[0] if isinstance(text, str) else MIN_US
    except ValueError:
        return MIN_US


def _as_view(resource_type: str, table: pa.Table, names: Sequence[str]) -> pa.Table:
    """The columns of the type's view, bodies as text; a column that a segment lacks is null."""
    full = segment_schema(resource_type)
    columns = []
    for name in names:
        if name not in table.column_names:
            column = pa.chunked_array([pa.nulls(table.num_rows, full.field(name).type)])
        else:
            column = table[name]
        columns.append(column.cast(pa.string()) if name == "body" else column)
    return pa.table(dict(zip(names, columns, strict=True)))
