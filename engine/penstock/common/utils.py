"""Where PyFlink keeps its wrapper of Java objects; mirrors pyflink.common.utils."""

from typing import Any

from penstock.base.errors import JobDefinitionError

__all__ = ["JavaObjectWrapper"]


class JavaObjectWrapper:
    """Nothing can be wrapped: there is no JVM."""

    def __init__(self, j_object: Any = None) -> None:
        raise JobDefinitionError(f"there is no JVM here: use a Python class in the place of {type(self).__name__}")

    def get_java_object(self) -> Any:
        raise JobDefinitionError("there is no JVM here, and so no Java object")
