"""Answers over the encrypted lake: SQL, cohorts and patient timelines, each pinned to a snapshot.

Nothing here writes: DuckDB reads Arrow columns that were decrypted in memory, with no file or
network access and no spill to disk.
"""
