"""Bulk export: many resources as of one commit, into encrypted files that expire."""
