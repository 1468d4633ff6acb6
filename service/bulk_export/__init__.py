"""Bulk Data Export: asked for (`request`), chosen (`selection`), written (`output`), as a job.

https://hl7.org/fhir/uv/bulkdata/export.html
"""
