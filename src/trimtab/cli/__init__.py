"""The verbs: everything that Trimtab does, from a shell, straight on the store, in the words of Python and HTTP.

Importing this room is cheap on purpose: a verb's module, and with it the rooms that it needs, is imported when the verb
runs.
"""

from trimtab.cli.main import main

__all__ = ["main"]
