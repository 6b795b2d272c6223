"""Under the module path that PyFlink has for it."""

from penstock.operators.functions import TimeDomain

__all__ = ["TimeDomain"]
