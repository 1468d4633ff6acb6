"""Chronic diseases, acute illness and pregnancy as small state machines over a `Chart`."""
