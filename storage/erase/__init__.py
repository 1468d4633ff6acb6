"""Erasing: removing all versions of chosen resources so that no copy yields them any more.

`selection` says what is erased, `removal` takes it out of the database in one transaction, `eraser`
goes through the steps that make every older copy unreadable, and gets to their end also after a
crash at any moment. docs/erasure.md says what is proven and how.
"""
