"""Under the module path that PyFlink has for it."""

from penstock.operators.functions import OutputTag

__all__ = ["OutputTag"]
