"""Exceptions that programs written for PyFlink may catch; mirrors pyflink.util.exceptions. Nothing here raises them."""

from penstock.base.errors import PenstockError

__all__ = [
    "CatalogException",
    "DatabaseAlreadyExistException",
    "DatabaseNotEmptyException",
    "DatabaseNotExistException",
    "FunctionAlreadyExistException",
    "FunctionNotExistException",
    "JavaException",
    "ModelAlreadyExistException",
    "ModelNotExistException",
    "PartitionAlreadyExistsException",
    "PartitionNotExistException",
    "PartitionSpecInvalidException",
    "TableAlreadyExistException",
    "TableException",
    "TableNotExistException",
    "TableNotPartitionedException",
]


class JavaException(PenstockError):
    """Base of what the JVM raises in PyFlink."""

    def __init__(self, stack_trace: str = "") -> None:
        super().__init__(stack_trace)
        self.stack_trace = stack_trace


class TableException(JavaException):
    """The Table API failed."""


class CatalogException(JavaException):
    """A catalog failed."""


class DatabaseAlreadyExistException(JavaException):
    """There is such a database."""


class DatabaseNotEmptyException(JavaException):
    """The database has tables."""


class DatabaseNotExistException(JavaException):
    """There is no such database."""


class FunctionAlreadyExistException(JavaException):
    """There is such a function."""


class FunctionNotExistException(JavaException):
    """There is no such function."""


class PartitionAlreadyExistsException(JavaException):
    """There is such a partition."""


class PartitionNotExistException(JavaException):
    """There is no such partition."""


class PartitionSpecInvalidException(JavaException):
    """The partition cannot be named so."""


class TableAlreadyExistException(JavaException):
    """There is such a table."""


class TableNotExistException(JavaException):
    """There is no such table."""


class ModelAlreadyExistException(JavaException):
    """There is such a model."""


class ModelNotExistException(JavaException):
    """There is no such model."""


class TableNotPartitionedException(JavaException):
    """The table has no partitions."""
