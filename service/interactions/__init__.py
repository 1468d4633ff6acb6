"""The RESTful interactions of FHIR R4, one file each (R4 http.html)."""
