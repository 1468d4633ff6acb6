"""Rebuilding the search index from the bodies, in one transaction: the old one or the new."""

from __future__ import annotations

import apsw

from schemas.parse import parse_resource
from storage import index
from storage.index_rows import intern_in, live_rows
from storage.terms import Terms
from storage.version_rows import Bodies
from storage.writer import Writer


def reindex(writer: Writer, bodies: Bodies, terms: Terms) -> None:
    """Empty the index and index every version again. Other writers wait meanwhile."""

    def rebuild(connection: apsw.Connection) -> None:
        intern = intern_in(connection)
        index.delete_all(connection)
        for rows in live_rows(connection):
            for row, version in zip(rows, bodies.load(connection, rows), strict=True):
                index.insert(connection, row[0], index.rows(parse_resource(version.body), intern))

    writer.run(rebuild)
