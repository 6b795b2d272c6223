"""Bytewax in an environment of its own, so that what it needs never meets what we need."""

import subprocess
import sys
from typing import Final

from tests.benchmarks.measurement import BUILD, PROGRAMS, Contender

VERSION: Final = "0.21.1"
_HOME: Final = BUILD / f"bytewax-{VERSION}"


def bytewax(*arguments: str) -> Contender:
    """Bytewax's keyed count; installs it first where it is not."""
    python = _HOME / "bin" / "python"
    stamp = _HOME / "installed"
    if not stamp.exists():
        subprocess.run([sys.executable, "-m", "venv", str(_HOME)], check=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "-q", "--only-binary", ":all:"]
        subprocess.run([*pip, f"bytewax=={VERSION}"], check=True)
        stamp.touch()
    return Contender("bytewax", (str(python), str(PROGRAMS / "keyed_count_bytewax.py"), *arguments))
