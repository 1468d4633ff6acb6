"""Create, update, patch and delete: one function each, for REST, batch and transaction alike.

What is asked is a `Change` (`asked`); `store` looks at what there is, works out what each change
comes to (`create`, `update`, `patch`, `delete`), and commits all of them or none.
"""
