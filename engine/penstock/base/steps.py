"""Named steps at which a fault test may stop a process.

Product code says `reached("checkpoint.metadata.written")` where a death would be interesting. Nothing
happens unless PENSTOCK_STEP_HOOK names a function ("module:function"); the fault tests' one lives in
`penstock.testing.steps`. Never on the per-record path.
"""

import importlib
import os
from collections.abc import Callable

_VARIABLE = "PENSTOCK_STEP_HOOK"


def _load() -> Callable[[str], None] | None:
    target = os.environ.get(_VARIABLE)
    if not target:
        return None
    module, _, name = target.partition(":")
    hook: Callable[[str], None] = getattr(importlib.import_module(module), name)
    return hook


_hook = _load()


def reached(step: str) -> None:
    """Tell the hook, if there is one, that this process has come to `step`."""
    if _hook is not None:
        _hook(step)
