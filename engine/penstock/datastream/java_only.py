"""One sentence each for what exists in PyFlink only because of the JVM beneath it."""

from typing import Any, NoReturn


def refuse_java_attribute(owner: Any, name: str) -> NoReturn:
    """For `__getattr__`: an attribute like `_j_data_stream` says what to do instead."""
    kind = type(owner).__name__
    if name.startswith(("_j_", "j_")) or name in ("get_java_function", "get_java_object"):
        raise AttributeError(
            f"{kind}.{name} is a handle on a Java object, and there is no JVM here: use the Python API of {kind} "
            "instead, or write the operator, source or sink in Python"
        )
    raise AttributeError(f"{kind!r} object has no attribute {name!r}")
