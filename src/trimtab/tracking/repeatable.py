"""Make the bytes of a stored model a function of the model alone.

skops names what it writes by its place in memory (or at random) and dates it, so that the same model never gave the
same bytes twice. Here what it wrote is named by the order in which its schema mentions it, and has no date.
"""

import json
from io import BytesIO
from pathlib import PurePath
from typing import Any
from zipfile import ZipFile, ZipInfo

SCHEMA = "schema.json"


def repeatable(data: bytes) -> bytes:
    """Return skops bytes that hold the same, named and dated the same for every equal model."""
    written = BytesIO()
    with ZipFile(BytesIO(data)) as found, ZipFile(written, "w") as kept:
        names = _Names(found.namelist())
        schema = names.replaced(json.loads(found.read(SCHEMA)))
        for old, new in names.files.items():
            kept.writestr(ZipInfo(new), found.read(old))
        kept.writestr(ZipInfo(SCHEMA), json.dumps(schema))
    return written.getvalue()


class _Names:
    """New names for the files and the objects of a schema, in the order of their first mention."""

    def __init__(self, present: list[str]) -> None:
        self.files: dict[str, str] = {}
        self._present = set(present)
        self._objects: dict[int, int] = {}

    def replaced(self, node: Any) -> Any:
        """Return a part of the schema with the new names."""
        if isinstance(node, list):
            return [self.replaced(one) for one in node]
        if not isinstance(node, dict):
            return node
        return {key: self._replaced(key, value) for key, value in node.items()}

    def _replaced(self, key: str, value: Any) -> Any:
        # A model's own words never stand here bare: skops keeps each as the text of a node of its own.
        if key == "__id__" and isinstance(value, int):
            return self._objects.setdefault(value, len(self._objects))
        if key == "file" and isinstance(value, str) and value in self._present:
            return self.files.setdefault(value, f"{len(self.files)}{PurePath(value).suffix}")
        return self.replaced(value)
