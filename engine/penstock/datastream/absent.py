"""One sentence each for what PyFlink's streams have and ours have not: what is of the JVM, and what comes later."""

from typing import Any, Final, NoReturn

_NO_WINDOWS: Final = "windows do not exist here yet: use a KeyedProcessFunction with state and timers"
_LATER: Final = {
    "KeyedStream.window": _NO_WINDOWS,
    "KeyedStream.count_window": _NO_WINDOWS,
    "KeyedStream.window_all": _NO_WINDOWS,
    "KeyedStream.count_window_all": _NO_WINDOWS,
    "DataStream.window_all": _NO_WINDOWS,
    "DataStream.count_window_all": _NO_WINDOWS,
    "DataStream.join": _NO_WINDOWS,
    "DataStream.co_group": _NO_WINDOWS,
}


def refuse_absent_attribute(owner: Any, name: str) -> NoReturn:
    """For `__getattr__`: an attribute like `_j_data_stream` or `window` says what to do instead."""
    kind = type(owner).__name__
    if name.startswith(("_j_", "j_")) or name in ("get_java_function", "get_java_object"):
        raise AttributeError(
            f"{kind}.{name} is a handle on a Java object, and there is no JVM here: use the Python API of {kind} "
            "instead, or write the operator, source or sink in Python"
        )
    if (sentence := _LATER.get(f"{kind}.{name}")) is not None:
        raise AttributeError(f"{kind}.{name}(): {sentence}")
    raise AttributeError(f"{kind!r} object has no attribute {name!r}")
