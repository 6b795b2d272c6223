"""Makes a worker fit to run a job's code: the script's classes under `__main__`, its files on the path."""

import pickle
import sys
import types
from pathlib import Path
from typing import Any, Final

from penstock.base.errors import UserFunctionError
from penstock.base.tracebacks import said
from penstock.graph.job_graph import PYTHON_FOLDER, JobGraph

_OF_PROCESS: Final = "__penstock_main__"
"""Where the script's `__main__` keeps the one that the process was started with."""


def install_prelude(graph: JobGraph, directory: Path) -> Path:
    """Put the job's files below `directory` and its classes where pickle will look for them; the files' folder.

    Values of the script's own classes pickle by reference to `__main__`, in microseconds, because the class is there.
    """
    folder = directory / "files"
    for name, content in graph.files:
        target = (folder / name).resolve()
        assert target.is_relative_to(folder.resolve()), "files stay below the job's folder"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    modules = folder / PYTHON_FOLDER
    entries = [str(path) for path in (modules, *sorted(modules.glob("*.zip"))) if path.exists()]
    entries += [entry for entry in graph.python_path if Path(entry).exists()]
    sys.path[:0] = [entry for entry in entries if entry not in sys.path]
    if graph.prelude:
        main = _scripts_main()
        classes: dict[str, Any] = pickle.loads(graph.prelude)
        for name, item in classes.items():
            if not hasattr(main, name):
                setattr(main, name, item)
    return folder


def unpickled(pickled: bytes, what: str) -> Any:
    """What the program has sent. UserFunctionError names `what`, where the user's own code or modules refuse."""
    try:
        return pickle.loads(pickled)
    except Exception as error:
        raise UserFunctionError(f"{what} cannot be loaded where it is to run: {said(error)}") from error


def _scripts_main() -> types.ModuleType:
    """A `__main__` with nothing in it but the script's classes: ours has names that the script's may have too."""
    ours = sys.modules["__main__"]
    if not hasattr(ours, _OF_PROCESS):
        sys.modules["__main__"] = types.ModuleType("__main__", "The classes of the job's script.")
        setattr(sys.modules["__main__"], _OF_PROCESS, ours)
    return sys.modules["__main__"]
