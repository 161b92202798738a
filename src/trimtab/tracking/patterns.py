"""LIKE patterns, read once and written for each database.

``%`` is any text, ``_`` any character, and ``\\`` makes the next character mean itself.
"""

from typing import Literal

Part = tuple[Literal["any", "one", "text"], str]


def parse_pattern(pattern: str) -> list[Part]:
    """Read a pattern; a backslash at its end means itself."""
    parts: list[Part] = []
    characters = iter(pattern)
    for character in characters:
        match character:
            case "%":
                parts.append(("any", ""))
            case "_":
                parts.append(("one", ""))
            case "\\":
                parts.append(("text", next(characters, "\\")))
            case _:
                parts.append(("text", character))
    return parts


def as_glob(parts: list[Part]) -> str:
    """Write it for SQLite's GLOB."""
    signs = {"any": "*", "one": "?"}
    return "".join(signs.get(kind) or (f"[{text}]" if text in "*?[" else text) for kind, text in parts)


def as_like(parts: list[Part]) -> str:
    """Write it for LIKE with a backslash as its escape."""
    signs = {"any": "%", "one": "_"}
    return "".join(signs.get(kind) or (f"\\{text}" if text in "%_\\" else text) for kind, text in parts)
