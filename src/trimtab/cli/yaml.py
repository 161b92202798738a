"""Write plain values as YAML: what ``-o yaml`` prints. Readers of YAML 1.1 and of 1.2 get the same values back."""

import re
from typing import Any

import yaml

# PyYAML quotes texts that YAML 1.1 takes for a number or a word ("0777", "1:30", "no"); these are the others' of 1.2.
_NOT_A_TEXT = re.compile(
    r"^([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)(e[-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-f]+|[yn]|~|[-+]?\.(inf|nan))$", re.IGNORECASE
)
_OTHER_BREAK = re.compile("[\r\x85\u2028\u2029\ufeff]")
"""Some readers end a line at these: they are written as escapes."""
_ANY_WIDTH = 1 << 30


# libyaml writes the same text some ten times faster; not every build of PyYAML has it.
class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Quotes every text that some reader would take for something else, and writes equal parts out."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _text(dumper: Any, value: str) -> Any:
    style = '"' if _OTHER_BREAK.search(value) else "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_implicit_resolver("!not-a-text", _NOT_A_TEXT, None)
_Dumper.add_representer(str, _text)


def to_yaml(value: Any) -> str:
    """Return a value made of mappings, lists, text, numbers, booleans and None as YAML text."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_ANY_WIDTH)
    return text.removesuffix("...\n")
