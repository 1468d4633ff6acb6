"""The edge: HTTP, jobs, command line; wires schemas, storage and nlp together."""
