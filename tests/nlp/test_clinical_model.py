"""The shipped model in the pipeline."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nlp import Annotator
from nlp.clinical_model import joined, meant
from nlp.models import SHIPPED_FOLDER, ModelError, read_manifest, shipped
from nlp.models.manifest import FILES, MANIFEST
from nlp.models.recogniser import Recognised, Recogniser


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return shipped()[0]


def test_a_fixed_note(recogniser: Recogniser) -> None:
    text = "Nivolumab was stopped because of autoimmune hepatitis. He took lithium carbonate."
    found = recogniser.find(text, [(0, 55), (55, len(text))])
    assert {(text[f.begin : f.end], f.kind) for f in found["bc5cdr"]} == {
        ("Nivolumab", "Chemical"),
        ("autoimmune hepatitis", "Disease"),
        ("lithium carbonate", "Chemical"),
    }
    assert "Nivolumab" in {text[f.begin : f.end] for f in found["maccrobat"]}


def test_a_drug_that_no_dictionary_has_is_found_without_a_code(annotator: Annotator) -> None:
    text = "He was treated with oral tesmilifene citrate and later with zorbecirnon."
    found = {m.text: m for m in annotator.annotate(text) if m.category == "MEDICATION"}
    assert "tesmilifene citrate" in found
    assert all(0 < m.score < 1 and not m.concepts for m in found.values())


def test_words_of_every_note_are_no_mentions(annotator: Annotator) -> None:
    text = "MEDICATIONS: Water was given. 4-0 Vicryl sutures. No smoking. Psych: positive."
    words = {"medications", "water", "vicryl", "psych", "smoking"}
    assert not words & {m.text.lower() for m in annotator.annotate(text)}


def test_the_shipped_folder_is_whole_and_small() -> None:
    manifest = read_manifest(SHIPPED_FOLDER)
    size = sum(path.stat().st_size for path in SHIPPED_FOLDER.iterdir())
    assert set(manifest.sha256) == set(FILES)
    assert size < 25 * 2**20


@pytest.mark.parametrize("name", FILES)
def test_a_tampered_file_is_refused(name: str, tmp_path: Path) -> None:
    for path in SHIPPED_FOLDER.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with (tmp_path / name).open("r+b") as stream:
        stream.seek(100)
        byte = stream.read(1)
        stream.seek(100)
        stream.write(bytes([byte[0] ^ 1]))
    with pytest.raises(ModelError, match=f"{name}.*SHA-256"):
        shipped(tmp_path)


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=MANIFEST):
        shipped(tmp_path)
    (tmp_path / MANIFEST).write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match="not the manifest"):
        shipped(tmp_path)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=300))
def test_offsets_are_those_of_the_text(recogniser: Recogniser, text: str) -> None:
    for found in recogniser.find(text, [(0, len(text))]).values():
        for one in found:
            assert 0 <= one.begin < one.end <= len(text)
            assert not text[one.begin].isspace()
            assert not text[one.end - 1].isspace()
            assert 0 < one.score < 1


def test_a_line_without_an_end(recogniser: Recogniser) -> None:
    text = "aspirin for gout and " * 150
    found = recogniser.find(text, [(0, len(text))], ["bc5cdr"])["bc5cdr"]
    words = [text[one.begin : one.end] for one in found]
    assert words.count("aspirin") > 140
    assert words.count("gout") > 140
    assert recogniser.find("x" * 4_000, [(0, 4_000)])


def test_agreement_of_the_schemes() -> None:
    reports = [Recognised(0, 4, "Medication", 0.4), Recognised(10, 14, "Lab_value", 0.9)]
    agreeing = [Recognised(0, 4, "Chemical", 0.6)]
    assert joined(reports, agreeing) == [(0, 4, "MEDICATION", 0.6)]
    assert joined(reports, []) == []
    # What the case reports' scheme takes for something else must be surer.
    assert joined(reports, [Recognised(10, 14, "Chemical", 0.8)]) == []
    assert joined([], [Recognised(10, 14, "Chemical", 0.8)]) == [(10, 14, "MEDICATION", 0.8)]
    assert meant("water", [(0, 5, "MEDICATION", 0.9)]) == []
