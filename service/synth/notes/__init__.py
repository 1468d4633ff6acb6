"""Clinical notes written from what happened in a visit, and the facts they state."""
