"""Lets programs that import `pyflink` run unchanged: each `pyflink.x` is the module `penstock.x`, the very same object.

Installed by `penstock run`, the JobManager's child process and the workers, where no real pyflink is installed. What
has no counterpart says in one sentence what to do instead. Imports nothing but what a program asks for.
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final, NoReturn, final

_THEIRS: Final = "pyflink"
_OURS: Final = "penstock"

_TABLE: Final = "pyflink.table"
_NO_TABLES: Final = (
    "the Table API and SQL are not part of Penstock, only DataTypes is: write the job with pyflink.datastream"
)
_WINDOWS: Final = "windows do not exist here yet: use a KeyedProcessFunction with state and timers"
_ASYNC: Final = "asynchronous I/O does not exist here yet: call the service in a map"
_KAFKA: Final = "there is no connector for Kafka here yet: write a Source or a Sink in Python"
_CONNECTOR: Final = "there is no such connector here: write a Source or a Sink in Python"
_FORMAT: Final = "there is no such format here: files are read and written as text, CSV, JSON lines and Parquet"
_NO_GATEWAY: Final = (
    "there is no JVM here, and so no Java gateway: use the Python API, or write the source, sink or function in Python"
)
_ABSENT: Final = {
    "pyflink.fn_execution": "this is how PyFlink talks to the JVM: use pyflink.datastream.functions",
    "pyflink.util.java_utils": _NO_GATEWAY,
    "pyflink.dataset": "the DataSet API was given up by Flink: write the job with pyflink.datastream",
    "pyflink.datastream.window": _WINDOWS,
    "pyflink.datastream.async_data_stream": _ASYNC,
    "pyflink.datastream.async_retry_predicates": _ASYNC,
    "pyflink.datastream.async_retry_strategies": _ASYNC,
    "pyflink.datastream.connectors.kafka": _KAFKA,
}
_ABSENT_NAMES: Final = {
    "pyflink.datastream": {"Window": _WINDOWS, "Trigger": _WINDOWS, "Async": _ASYNC},
    "pyflink.datastream.data_stream": {"Window": _WINDOWS},
    "pyflink.datastream.functions": {"Window": _WINDOWS, "Async": _ASYNC},
    "pyflink.datastream.connectors": {"Kafka": _KAFKA, "kafka": _KAFKA, "Sink": _CONNECTOR, "Source": _CONNECTOR}
    | {"Consumer": _CONNECTOR, "Jdbc": _CONNECTOR},
}
"""What a name has in it that `from pyflink.x import name` asks for in vain."""
_NO_MODULE: Final = {
    "pyflink.datastream.connectors.": _CONNECTOR,
    "pyflink.datastream.formats.": _FORMAT,
    "pyflink.table.": _NO_TABLES,
}
"""What is said of modules below these that are not there."""


def install() -> bool:
    """Answer imports of `pyflink`, unless the real one is installed. Returns whether they are answered."""
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return True
    if _THEIRS in sys.modules or importlib.util.find_spec(_THEIRS) is not None:
        return False
    # First, so that the path finder does not load penstock's files a second time under pyflink's name.
    sys.meta_path.insert(0, _Finder())
    return True


@final
class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _THEIRS and not fullname.startswith(f"{_THEIRS}."):
            return None
        for absent, sentence in _ABSENT.items():
            if fullname == absent or fullname.startswith(f"{absent}."):
                raise ImportError(f"{fullname}: {sentence}", name=fullname)
        if fullname == f"{_THEIRS}.java_gateway":
            return ModuleSpec(fullname, _Gateway())
        name = _OURS + fullname.removeprefix(_THEIRS)
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                raise
            for above, sentence in _NO_MODULE.items():
                if fullname.startswith(above):
                    raise ImportError(f"{fullname}: {sentence}", name=fullname) from None
            raise ModuleNotFoundError(f"{fullname} has no counterpart in Penstock", name=fullname) from None
        if fullname == _TABLE:
            vars(module)["__getattr__"] = _refuse_table
        elif fullname in _ABSENT_NAMES:
            vars(module).setdefault("__getattr__", _refusal(fullname))
        return ModuleSpec(fullname, _SameModule(module), is_package=hasattr(module, "__path__"))


def _refusal(module: str) -> Callable[[str], NoReturn]:
    """For `from pyflink.datastream import WindowFunction`."""

    def refuse(name: str) -> NoReturn:
        for part, sentence in _ABSENT_NAMES[module].items():
            if part in name:
                raise ImportError(f"{module}.{name}: {sentence}", name=module)
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return refuse


def _refuse_table(name: str) -> NoReturn:
    """For `from pyflink.table import StreamTableEnvironment`."""
    if name.startswith("__"):
        raise AttributeError(name)
    raise ImportError(f"{_TABLE}.{name}: {_NO_TABLES}", name=_TABLE)


@final
class _SameModule(Loader):
    """Gives a module that is loaded already."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._spec = module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # The import machinery has just put pyflink's spec there.


@final
class _Gateway(Loader):
    """pyflink.java_gateway: can be imported, and refuses to be used."""

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        def get_gateway(*args: Any, **kwargs: Any) -> NoReturn:
            raise RuntimeError(_NO_GATEWAY)

        vars(module).update(get_gateway=get_gateway, launch_gateway=get_gateway)
