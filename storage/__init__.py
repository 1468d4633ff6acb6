"""The lake: every version of every resource, encrypted at rest. No HTTP, no NLP."""
