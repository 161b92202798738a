"""Where questions are answered: by the store of this folder, or by a server elsewhere, with the same words.

In: a function of a room that takes a store, and its arguments. Out: the record that it returns, whoever answered. One
module for each room says how a server is asked what the room's functions ask a store.
"""

from trimtab.client.infer import Predicted, infer
from trimtab.client.project import Project, ServerProject, StoreProject, project_of

__all__ = ["Predicted", "Project", "ServerProject", "StoreProject", "infer", "project_of"]
