"""Bodies by page are those that pyarrow reads, and nothing that was changed is read."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.outcomes import error
from storage import segment_columns, segments
from storage.body_pages import BodyPages
from storage.keys import new_key
from storage.parquet_modules import DamagedModule
from storage.segment_files import LocalSegmentFiles
from storage.segments import SegmentFile

NAME = "11111111-2222-3333-4444-555555555555"


def written(folder: Path, bodies: list[bytes], rows_in_group: int) -> SegmentFile:
    """A segment with these bodies, in their order."""
    rows = [(v, 1, f"o{v}", 1, v, "PUT", 0, None, b"") for v in range(1, len(bodies) + 1)]
    table = segment_columns.table("Basic", rows)
    at = table.schema.get_field_index("body")
    table = table.set_column(at, table.schema.field(at), pa.array(bodies, pa.binary()))
    files, key = LocalSegmentFiles(folder), new_key()
    files.delete("Basic", NAME)
    with segments.writing(files, "Basic", NAME, table.schema, key) as writer:
        writer.write(table, rows_in_group)
    return SegmentFile(
        NAME,
        "Basic",
        files.filesystem,
        files.path("Basic", NAME),
        NAME,
        segments.decryption_properties(NAME, key),
        len(bodies),
        lambda file, failure: error("internal", type(failure).__name__),
        segments.data_key_unwrapper(NAME, key),
    )


def all_bodies(file: SegmentFile, rows_in_group: int) -> list[bytes]:
    """Every body, one at a time."""
    pages = BodyPages(file)
    found = []
    for row in range(file.rows):
        group, row = divmod(row, rows_in_group)
        page, row = pages.locate(group, row)
        found.append(pages.page(group, page).body(row))
    pages.close()
    return found


bodies_of_all_sizes = st.lists(
    st.binary(max_size=40) | st.integers(0, 40_000).map(lambda n: os.urandom(16) * (n // 16)),
    min_size=1,
    max_size=400,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(bodies_of_all_sizes, st.sampled_from([8, 64, 100, 4096]))
def test_every_body_is_the_one_that_pyarrow_reads(
    tmp_path: Path, bodies: list[bytes], rows_in_group: int
) -> None:
    file = written(tmp_path, bodies, rows_in_group)
    with file.open() as opened:
        assert opened.read(columns=["body"])["body"].to_pylist() == bodies
    assert all_bodies(file, rows_in_group) == bodies


def test_a_page_is_small_and_a_row_group_has_many(tmp_path: Path) -> None:
    bodies = [os.urandom(500).hex().encode() for _ in range(2000)]
    pages = BodyPages(written(tmp_path, bodies, 4096))
    assert pages.locate(0, 0) == (0, 0)
    last, row = pages.locate(0, 1999)
    assert last > 10
    assert pages.page(0, last).size_bytes < 200_000
    assert pages.page(0, last).body(row) == bodies[-1]
    with pytest.raises(DamagedModule):
        pages.locate(0, 2000)


def test_statistics_hold_no_body(tmp_path: Path) -> None:
    with written(tmp_path, [b"{}"] * 9, 8).open() as opened:
        group = opened.metadata.row_group(0)
        stats = {
            group.column(n).path_in_schema: group.column(n).is_stats_set
            for n in range(group.num_columns)
        }
    assert not stats["body"] and stats["patient_id"]


@pytest.mark.parametrize("which", range(0, 100, 4))
def test_a_changed_byte_is_never_read_over(tmp_path: Path, which: int) -> None:
    bodies = [os.urandom(400).hex().encode() for _ in range(300)]
    file = written(tmp_path, bodies, 100)
    path = Path(file.path)
    content = bytearray(path.read_bytes())
    content[len(content) * which // 100] ^= 0x10
    path.write_bytes(content)
    try:
        found = all_bodies(file, 100)
    except (OSError, ValueError, pa.ArrowException):
        return
    assert found == bodies  # the byte was of another column


def test_pages_cannot_change_places(tmp_path: Path) -> None:
    """Two pages of one size: each is authentic, but only in its own place."""
    body = b"x" * 700
    file = written(tmp_path, [body] * 128 + [b"y" * 700] * 128, 4096)
    pages = BodyPages(file)
    table = pages._table(0)
    assert table.sizes[0] == table.sizes[1]
    path = Path(file.path)
    content = bytearray(path.read_bytes())
    size = table.sizes[0]
    first, second = (content[o : o + size] for o in table.offsets[:2])
    content[table.offsets[0] : table.offsets[0] + size] = second
    content[table.offsets[1] : table.offsets[1] + size] = first
    path.write_bytes(content)
    with pytest.raises(DamagedModule):
        BodyPages(file).page(0, 0)


def test_the_key_of_another_segment_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, [b"{}"] * 3, 8)
    for name in (NAME, "another"):
        other = SegmentFile(
            file.name, file.resource_type, file.filesystem, file.path, file.cache_key,
            file.decryption_properties, file.rows, file.explain,
            segments.data_key_unwrapper(name, new_key()),
        )  # fmt: skip
        with pytest.raises(ValueError):
            BodyPages(other)


def test_a_plaintext_file_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, [b"{}"] * 3, 8)
    path = Path(file.path)
    path.write_bytes(path.read_bytes()[:-4] + b"PAR1")
    with pytest.raises((OSError, ValueError, pa.ArrowException)):
        BodyPages(file)
