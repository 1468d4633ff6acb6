"""Rebuilds the shipped recogniser. Needs the extra `train` (torch); nothing at run time does."""
