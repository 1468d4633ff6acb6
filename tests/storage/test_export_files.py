"""Files of exports: what comes out is what went in, and nothing else can be made to come out."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.outcomes import FhirError
from storage.bulk_export import export_files
from storage.bulk_export.export_files import ExportFiles, new_export_key

KEY = new_export_key()


def write(files: ExportFiles, pieces: list[bytes], name: str = "a.ndjson", key: str = KEY) -> Path:
    writer = files.create("job", name, key)
    for piece in pieces:
        writer.write(piece)
    writer.close()
    return files._folder / "job" / name


@settings(deadline=None, max_examples=40)
@given(pieces=st.lists(st.binary(max_size=90), max_size=12), frame=st.integers(1, 64))
def test_content_comes_back(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], frame: int
) -> None:
    files = ExportFiles(tmp_path_factory.mktemp("exports") / "exports")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_files, "FRAME_BYTES", frame)
        path = write(files, pieces)
        found = list(files.read("job", "a.ndjson", KEY))
    assert b"".join(found) == b"".join(pieces)
    assert all(len(piece) <= frame for piece in found)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ExportFiles:
    monkeypatch.setattr(export_files, "FRAME_BYTES", 64)
    return ExportFiles(tmp_path / "exports")


CONTENT = [bytes([65 + n]) * 40 for n in range(9)]


def refused(files: ExportFiles, name: str = "a.ndjson", key: str = KEY) -> str:
    with pytest.raises(FhirError) as failure:
        list(files.read("job", name, key))
    return failure.value.category


def test_nothing_is_readable_on_the_disk(files: ExportFiles) -> None:
    path = write(files, [b"Bluebottle" * 5] * 20)
    assert b"Bluebottle" not in path.read_bytes()


def test_every_cut_is_noticed(files: ExportFiles) -> None:
    path = write(files, CONTENT)
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        assert refused(files) == "internal"


def test_every_changed_byte_is_noticed(files: ExportFiles) -> None:
    path = write(files, CONTENT)
    whole = path.read_bytes()
    for at in range(0, len(whole), 5):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert refused(files) == "internal"


def test_a_file_cannot_stand_for_another(files: ExportFiles) -> None:
    one, other = write(files, CONTENT), write(files, CONTENT[:3], "b.ndjson")
    one.write_bytes(other.read_bytes())
    assert refused(files) == "internal"
    assert refused(files, "b.ndjson", new_export_key()) == "internal"
    assert refused(files, "none.ndjson") == "not-found"


def test_an_abandoned_file_is_none(files: ExportFiles) -> None:
    writer = files.create("job", "a.ndjson", KEY)
    for piece in CONTENT:
        writer.write(piece)
    writer.abandon()
    assert refused(files) == "internal"
    files.remove("job")
    assert files.exports() == []
    files.remove("job")
