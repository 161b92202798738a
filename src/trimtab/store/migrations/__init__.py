"""How the tables came to be: one file in ``versions`` for each room, in the order of their numbers."""
