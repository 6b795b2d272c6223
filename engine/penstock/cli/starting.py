"""Flags of commands that start a job, spelled as the `flink` command has them, and what they set."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, final

import click

from penstock.common.configuration import Configuration
from penstock.common.options import checkpointing, jobs

_Command = Callable[..., Any]

unclaimed_option: Final = click.option(
    "-n",
    "--allowNonRestoredState",
    "--allow-non-restored-state",
    "allow_unclaimed",
    is_flag=True,
    help="Leave out state without an operator.",
)
_OPTIONS: Final = (
    click.option(
        "-s",
        "--fromSavepoint",
        "--from-savepoint",
        "savepoint",
        metavar="PATH",
        help="Savepoint or checkpoint to start from.",
    ),
    unclaimed_option,
    click.option(
        "-cm",
        "--claimMode",
        "--claim-mode",
        "claim",
        metavar="MODE",
        help="CLAIM: the job owns PATH, and deletes it when it is needed no more.  [default: NO_CLAIM]",
    ),
    click.option(
        "-pyfs", "--pyFiles", "--py-files", "files", metavar="PATHS", help="Modules, packages, zip files; by commas."
    ),
    click.option(
        "-pyarch",
        "--pyArchives",
        "--py-archives",
        "archives",
        metavar="PATHS",
        help="Archives, as PATH or PATH#FOLDER.",
    ),
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Starting:
    """What the flags of `starting` say."""

    savepoint: str | None
    allow_unclaimed: bool
    claim: str | None
    files: str | None
    archives: str | None

    def over(self, configuration: Configuration) -> Configuration:
        """The configuration with that in it."""
        if self.savepoint is not None:
            from penstock.checkpoint.opened import absolute

            configuration.set(checkpointing.RECOVERY_PATH, absolute(self.savepoint))
        if self.allow_unclaimed:
            configuration.set(checkpointing.RECOVERY_IGNORE_UNCLAIMED, True)
        for option, text, flag in (
            (checkpointing.RECOVERY_CLAIM, self.claim, "--claimMode"),
            (jobs.PYTHON_FILES, self.files, "--pyFiles"),
            (jobs.PYTHON_ARCHIVES, self.archives, "--pyArchives"),
        ):
            if text is not None:
                configuration.put(option.key, text, f"from {flag}")
        configuration.check()
        return configuration


def starting(command: _Command) -> _Command:
    """The options of a command that starts a job; it is called with what they say as `start`."""

    @functools.wraps(command)
    def with_start(
        *arguments: Any,
        savepoint: str | None,
        allow_unclaimed: bool,
        claim: str | None,
        files: str | None,
        archives: str | None,
        **others: Any,
    ) -> Any:
        said = Starting(
            savepoint=savepoint, allow_unclaimed=allow_unclaimed, claim=claim, files=files, archives=archives
        )
        return command(*arguments, start=said, **others)

    decorated: _Command = with_start
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated
