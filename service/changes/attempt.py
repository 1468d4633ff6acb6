"""One attempt at changes: what each comes to, as the lake is now, and the commit of them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from schemas.ids import parse_reference
from schemas.outcomes import FhirError, Issue, error
from schemas.validate import MAX_ISSUES
from schemas.validation_mark import is_marked
from service.changes.asked import Change, Done, located
from service.changes.references import References
from service.own_references import with_relative
from service.reference_integrity import EXISTING, Key, ReferenceIntegrity
from service.wakeups import result_of
from storage.lake import Commit, Delete, Guard, Put, RefusedError, Version

if TYPE_CHECKING:
    from service.ingest import Ingest

Resource = dict[str, Any]

# https://hl7.org/fhir/R4/http.html#trules
ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2, "GET": 3, "HEAD": 3}


@dataclass(slots=True)
class Step:
    """What a change comes to.

    `id`: of the resource that it is about. `settled`: nothing is to be stored for it. `twin`: the
    step that does the same. `resource` is stored as `put` says; a delete has `deletes`.
    """

    change: Change
    id: str = ""
    settled: Done | None = None
    twin: Step | None = None
    resource: Resource | None = None
    put: Mapping[str, Any] = field(default_factory=dict)
    deletes: Sequence[Delete] = ()
    issues: list[Issue] = field(default_factory=list)
    advice: Sequence[Issue] = ()


class Attempt:
    """Changes to be stored together, decided by what is there as of commit `t` or later."""

    def __init__(self, ingest: Ingest, changes: Sequence[Change], *, bundle: bool) -> None:
        """`bundle`: they are one transaction, whose entries may refer to one another."""
        self.ingest = ingest
        self.lake = ingest.lake
        self.policy = ingest.policy
        self.bundle = bundle
        self.t = self.lake.t
        self.guards: list[Guard] = []
        self.steps = [Step(change) for change in changes]
        self.conditions: dict[tuple[str, tuple[tuple[str, str], ...]], Step] = {}

    def matches(self, change: Change, limit: int = 2) -> list[Version]:
        """What the condition of a change matches."""
        try:
            condition = with_relative(change.condition or (), change.base, self.lake)
            found = self.lake.find(change.resource_type, condition, limit=limit)
        except FhirError as failure:
            if not change.places.entry:
                raise
            raise located(failure, change.places.condition) from None
        self.guards.append(found.guard)
        return found.versions

    def match(self, change: Change) -> Version | None:
        """The one resource that the condition matches. Raises `precondition` (412) for several."""
        found = self.matches(change)
        if len(found) > 1:
            raise error(
                "precondition",
                f"The condition matches several resources of type {change.resource_type}.",
                change.places.condition,
            )
        return found[0] if found else None

    def current(self, change: Change) -> Version:
        """The current version of the resource that a change names; it stays so until the commit.

        Raises FhirError `not-found`, `deleted`.
        """
        try:
            version = self.lake.read(change.resource_type, change.id, at=self.t)
        except FhirError as failure:
            raise located(failure, change.places.url) if change.places.entry else failure from None
        self.guards.append(self.lake.guard(version, self.t))
        return version

    def refuse_overlaps(self) -> None:
        """Raises FhirError when two changes are to one resource (R4 http.html#trules)."""
        seen: dict[tuple[str, str], Change] = {}
        for step in self.steps:
            if step.settled is not None or step.twin is not None:
                continue
            change = step.change
            ids = [d.id for d in step.deletes] if step.deletes else [step.id]
            for id in ids:
                other = seen.setdefault((change.resource_type, id), change)
                if other is not change:
                    raise error(
                        "invalid",
                        f"{change.places.entry} and {other.places.entry} change the same "
                        f"{change.resource_type}; a transaction changes a resource once.",
                        change.places.url,
                    )

    def complete(self) -> None:
        """Resolve references and validate all that is to be stored. Raises FhirError."""
        storing = [s for s in self.steps if s.resource is not None and s.settled is None]
        storing = [s for s in storing if s.twin is None]
        targets = self._targets()
        references = References(
            self.lake,
            targets,
            keep_administrative=self.policy.administrative_references == "logical",
            bundle=self.bundle,
        )
        if self.bundle:
            for step in storing:
                references.add_pending(step.change.resource_type, step.id, step.resource or {})
        relative = _relative_targets(targets)
        pending: dict[tuple[str, str], Resource] = {}
        failures: list[Issue] = []
        for step in storing:
            change = step.change
            near = relative.get(_base(change.full_url)) if relative else None
            prefix = change.places.prefix
            resource, notices = references.resolved(
                step.resource or {}, prefix, near, base=change.base
            )
            step.issues += notices
            if resource.get("id") != step.id:
                resource = _with_id(resource, step.id)
            elif resource is change.resource:
                resource = dict(resource)
            step.resource = resource
            pending[change.resource_type, step.id] = resource
            try:
                found = self.ingest.check(resource, change.resource_type, prefix)
                if found and is_marked(resource):
                    step.issues += found
                else:
                    step.advice = found
            except FhirError as failure:
                if not self.bundle:
                    raise
                failures += failure.issues
                if len(failures) >= MAX_ISSUES:
                    break
        if failures:
            told = list(dict.fromkeys(failures))  # What is said of several is said once.
            raise FhirError("unprocessable", told[:MAX_ISSUES])
        for step in storing:
            self.ingest.check_note(step.resource or {}, pending, step.change.places.prefix)
        self.guards += references.guards
        if self.policy.reference_integrity == EXISTING:
            self._check_integrity(storing, pending)

    def _check_integrity(self, storing: Sequence[Step], pending: Mapping[Key, Resource]) -> None:
        """Raises FhirError where a reference would lead nowhere, by what is stored or deleted."""
        integrity = ReferenceIntegrity(self.lake, self.t)
        gone = {(s.change.resource_type, d.id) for s in self.steps for d in s.deletes}
        issues: list[Issue] = []
        for step in storing:
            resource = step.resource or {}
            issues += integrity.missing(resource, step.change.places.prefix, pending, gone)
        if issues:
            raise FhirError("unprocessable", issues[:MAX_ISSUES])
        changed = gone | pending.keys()
        for step in self.steps:
            for delete in step.deletes:
                place = step.change.places.url
                integrity.check_deletion((delete.resource_type, delete.id), changed, place)
        self.guards += integrity.guards

    def _targets(self) -> dict[str, str]:
        """What each fullUrl of the transaction stands for. Raises `invalid` for one used twice."""
        seen: dict[str, Change] = {}
        targets: dict[str, str] = {}
        for step in self.steps:
            url = step.change.full_url
            if url is None or not step.id:
                continue
            other = seen.setdefault(url, step.change)
            if other is not step.change:
                raise error(
                    "invalid",
                    f"{other.places.entry} and {step.change.places.entry} share a fullUrl.",
                    f"{step.change.places.entry}.fullUrl",
                )
            targets[url] = f"{step.change.resource_type}/{step.id}"
        return targets

    def commit(self) -> list[Done]:
        """Store it all, or nothing; what became of each change.

        Raises FhirError when refused, `OvertakenError` when it is to be decided anew.
        """
        operations, owners = self._operations()
        if operations:
            try:
                made = self.lake.transact(operations, guards=self.guards)
            except RefusedError as refused:
                raise _placed(refused, owners[refused.index].change) from None
            self._settle(owners, made)
        else:
            self.lake.confirm(self.guards)
        return [_answer(step) for step in self.steps]

    async def commit_soon(self) -> list[Done] | None:
        """The same for an event loop; None where it would have to wait before it can begin."""
        operations, owners = self._operations()
        if operations:
            begun = self.lake.begin(operations, guards=self.guards)
            if begun is None:
                return None
            try:
                made = await result_of(begun)
            except RefusedError as refused:
                raise _placed(refused, owners[refused.index].change) from None
            self._settle(owners, made)
        elif self.guards and not self.lake.stores_itself:
            return None
        return [_answer(step) for step in self.steps]

    def _operations(self) -> tuple[list[Put | Delete], list[Step]]:
        """What is to be stored, in order of processing, and the step of each operation."""
        operations: list[Put | Delete] = []
        owners: list[Step] = []
        for step in sorted(self.steps, key=lambda s: ORDER[s.change.method]):
            if step.settled is not None or step.twin is not None:
                continue
            if step.resource is not None:
                put = Put(step.resource, as_parsed=True, **step.put)
                operations.append(put)
                owners.append(step)
            for delete in step.deletes:
                operations.append(delete)
                owners.append(step)
        return operations, owners

    def _settle(self, owners: Sequence[Step], made: Commit) -> None:
        for step, version in zip(owners, made.versions, strict=True):
            step.settled = _done(step, version)


def _done(step: Step, version: Version) -> Done:
    if version.deleted:
        return Done(version, 204, step.issues, len(step.deletes))
    created = version.version_id == 1
    return Done(version, 201 if created else 200, step.issues, advice=step.advice)


def _answer(step: Step) -> Done:
    if step.twin is not None:
        first = _answer(step.twin)
        return Done(first.version, 200)
    assert step.settled is not None
    return step.settled


def _placed(refused: RefusedError, change: Change) -> FhirError:
    """The lake's refusal of an operation, placed at the entry that asked for it."""
    failure: FhirError = refused
    if change.if_none_match and refused.category == "conflict":
        # It was said what must not be: `If-None-Match: *`.
        failure = FhirError("precondition", refused.issues)
    if failure.category == "precondition":
        asked = change.if_match is not None
        given = change.places.if_match if asked else change.places.if_none_match
        return located(failure, given)
    if change.places.entry:
        return located(failure, change.places.entry)
    return FhirError(failure.category, failure.issues)


def _with_id(resource: Resource, id: str) -> Resource:
    """A copy with the id, which stands right behind the type."""
    copy = {"resourceType": resource["resourceType"], "id": id, **resource}
    copy["id"] = id
    return copy


def _base(full_url: str | None) -> str:
    """What stands before `Type/id` in a fullUrl that ends so; empty for any other."""
    if full_url is None or full_url.startswith("urn:"):
        return ""
    head, _, _ = full_url.rpartition("/")
    return head.rpartition("/")[0]


def _relative_targets(targets: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """By the base of fullUrls, what `Type/id` beside them stands for (R4 bundle.html#references).

    Those that stand for what they say already are left out.
    """
    found: dict[str, dict[str, str]] = {}
    for url, target in targets.items():
        if url.startswith("urn:"):
            continue
        parsed = parse_reference(url)
        if parsed.kind in ("absolute", "relative") and parsed.resource_type is not None:
            text = f"{parsed.resource_type}/{parsed.id}"
            if text != target:
                found.setdefault(_base(url), {})[text] = target
    return found


Locate = Callable[[Attempt, Step], None]
