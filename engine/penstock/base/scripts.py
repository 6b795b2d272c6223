"""Whether there is a script, said before anything is started for it. Called by commands and by what runs scripts."""

from pathlib import Path

from penstock.base.errors import JobDefinitionError


def check_script(script: Path) -> None:
    """JobDefinitionError unless it is a file that can be read."""
    if not script.is_file():
        where = ": it is a folder" if script.is_dir() else ""
        raise JobDefinitionError(f"there is no script {script}{where}")
    try:
        script.open("rb").close()
    except OSError as error:
        raise JobDefinitionError(f"cannot read the script {script}: {error.strerror}") from error
