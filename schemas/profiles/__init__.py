"""R4 profiles: StructureDefinitions compiled into validators.

`validator.Profiles` is what others use; `element_tree` reads a definition, `compile` makes rules of
it, `walk` applies them.
"""
