"""Whether a warm process still runs the code that lies on disk."""

import contextlib
import os
import sys
import sysconfig


def changed_since(at_s: float) -> bool:
    """Say whether an imported file of the user's was written after ``at_s``: a warm process would run old code."""
    installed = tuple({*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix})
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and not file.startswith(installed):
            with contextlib.suppress(OSError):
                if os.stat(file).st_mtime > at_s:  # noqa: PTH116  (hundreds of files before every step)
                    return True
    return False
