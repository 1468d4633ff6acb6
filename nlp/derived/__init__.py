"""FHIR R4 resources out of mentions, one file a resource type."""
