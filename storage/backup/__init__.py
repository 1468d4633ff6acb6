"""Backups: what a lake was at one commit, taken while it is in use, each storing only what is new.

A backup never holds a key. Its files are the lake's own encrypted ones, so a place that backups are
kept in need not be trusted with what is in them; and what an erase took the key of cannot be read
from an older backup either.
"""
