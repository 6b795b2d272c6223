"""Input formats, which are Java classes in PyFlink; mirrors pyflink.common.io."""

from penstock.common.utils import JavaObjectWrapper

__all__ = ["InputFormat"]


class InputFormat(JavaObjectWrapper):
    """Read files with a FileSource instead, or write a source in Python."""
