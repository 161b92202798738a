"""The pages: what a person sees of every room, drawn on the server.

In: what the rooms' public functions return. Out: pages of HTML with charts in SVG, that need no script to be read.
"""

from trimtab.ui.site import face

__all__ = ["face"]
