"""One module for each screen: reads the rooms, shapes what the template shows."""
