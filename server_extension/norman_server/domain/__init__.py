"""Records and states: what the server knows, free of where it is kept and how it is asked for."""
