"""What FHIR R4 says: parsing, validation, search parameters, views. No HTTP, no NLP, no lake."""
