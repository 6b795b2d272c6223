"""Numbers; mirrors pyflink.common.constants."""

from typing import Final

MAX_LONG_VALUE: Final = 2**63 - 1
MIN_LONG_VALUE: Final = -(2**63)
