"""Records are msgspec's structs, which learn what their fields are when one is decoded first: not for two threads."""

from contextlib import suppress

import msgspec


def prepare_records() -> None:
    """Let every kind of record that is imported learn its fields now, before there are threads.

    msgspec notes a struct's fields on its class before it knows their types. A second thread that decodes the same
    kind meanwhile reads types that are not there, and the process ends with a segmentation fault.
    """
    kinds: list[type] = [msgspec.Struct]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
        with suppress(TypeError, NameError):  # one that cannot be decoded is not decoded by two threads either
            msgspec.json.Decoder(kind)
