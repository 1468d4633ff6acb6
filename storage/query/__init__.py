"""Search: parameters → a tree (`parse`) → a plan (`plan`, `joins`) → a page (`search`)."""
