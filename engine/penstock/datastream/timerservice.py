"""Under the module path that PyFlink has for it."""

from penstock.operators.functions import TimerService

__all__ = ["TimerService"]
