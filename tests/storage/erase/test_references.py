"""References in the bytes of a body."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import iter_references, parse_reference
from schemas.parse import canonical_bytes
from storage.erase.references import needle, references

IDS = st.from_regex(r"[A-Za-z0-9\-.]{1,64}", fullmatch=True)
TYPES = st.sampled_from(["Patient", "Observation", "Binary", "DocumentReference"])
FORMS = st.sampled_from(["{}", "{}/_history/3", "http://x.example/fhir/{}", "#{}", "urn:uuid:{}"])


@given(st.lists(st.tuples(TYPES, IDS, FORMS), max_size=6), st.text(max_size=30))
def test_every_local_reference_is_found_and_no_other(
    made: list[tuple[str, str, str]], text: str
) -> None:
    resource = {
        "resourceType": "List",
        "title": text,
        "entry": [{"item": {"reference": form.format(f"{t}/{id}")}} for t, id, form in made],
    }
    body = canonical_bytes(resource)
    parsed = [parse_reference(holder["reference"]) for _, holder in iter_references(resource)]
    expected = {(p.resource_type, p.id) for p in parsed if p.kind == "relative"}
    assert references(body) == expected
    assert all(needle((str(t), str(id))) in body for t, id in expected)


def test_an_attachments_url_and_an_extension_count() -> None:
    body = canonical_bytes(
        {
            "resourceType": "Media",
            "content": {"url": "Binary/b1"},
            "extension": [{"url": "http://x", "valueReference": {"reference": "Device/d1"}}],
        }
    )
    assert references(body) == {("Binary", "b1"), ("Device", "d1")}
