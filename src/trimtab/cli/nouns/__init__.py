"""What ``trimtab get`` can list and show; one module for each room, imported when one of its nouns is asked for."""
