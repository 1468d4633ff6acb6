"""FHIRPath 2.0 (N1) over FHIR R4: parsed once, compiled to closures, evaluated on parsed resources.

    expression = compile_expression("name.where(use = 'official').given.first()")
    expression.evaluate(patient)        # ['Peter']

Besides N1: the functions of trial use that the official tests of R4 use, and those of FHIR.
http://hl7.org/fhirpath/N1/, https://hl7.org/fhir/R4/fhirpath.html
"""

from schemas.fhirpath.errors import FhirPathError
from schemas.fhirpath.expression import Expression, compile_expression
from schemas.fhirpath.nodes import Node
from schemas.fhirpath.run import Environment

__all__ = ["Environment", "Expression", "FhirPathError", "Node", "compile_expression"]
