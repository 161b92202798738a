"""Other people's protocols, one folder each: they translate, and leave every decision to the rooms below."""
