"""Readers of test results: what stands behind (or before) a test's name in a note.

`reading` is the entry; the others read one part each: units, dates of results, flags and
reference ranges, coded results, blood pressure and height, several tests written as one.
"""
