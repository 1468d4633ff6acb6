"""Settings of all tests."""

from __future__ import annotations

import os

from hypothesis import settings

# Machines differ in speed: a property fails for what it finds, never for how long it took.
settings.register_profile("default", deadline=None)
# The same examples each time, so that a change is not refused for what it did not cause.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
