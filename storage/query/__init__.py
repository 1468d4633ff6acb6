"""Search: parameters → criteria (`parse`) → SQL over the index (`plan`) → pages (`page`, `search`)."""
