"""Search: parameters → criteria (`parse`) → SQL (`plan`) → a page (`search`, `page`)."""
