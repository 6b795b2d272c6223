"""The secret that all processes of a cluster share, and prove to each other before anything is unpickled.

It comes from PENSTOCK_SECRET, from `penstock.security.secret`, from the file that `penstock.security.secret-file`
names, or else from `~/.penstock/secret`, which the first process on this machine that needs it makes for itself and
the others. It never stands in a child's arguments or environment.
"""

import os
import secrets
from pathlib import Path
from typing import Final

from penstock.base.errors import ConfigurationError
from penstock.base.masking import hide
from penstock.common.configuration import Configuration
from penstock.common.options import penstock as own

VARIABLE: Final = "PENSTOCK_SECRET"


def take_secret(configuration: Configuration) -> bytes:
    """The cluster's secret; takes it out of the configuration and of this process's environment."""
    given = os.environ.pop(VARIABLE, None)
    written = configuration.get(own.SECRET)
    file = configuration.get(own.SECRET_FILE)
    configuration.remove_config(own.SECRET.key)
    if given is not None:
        return _checked(given, f"the environment variable {VARIABLE}")
    if written is not None:
        return _checked(written, own.SECRET.key)
    if file is not None:
        return _checked(_read(Path(file)), f"the file {file} ({own.SECRET_FILE.key})")
    return _of_this_user(Path.home() / ".penstock" / "secret")


def _checked(secret: str, where: str) -> bytes:
    hide([secret.strip()])
    if not secret.strip():
        raise ConfigurationError(f"the shared secret in {where} is empty: anybody could join the cluster")
    return secret.strip().encode()


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot read the shared secret in {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"the shared secret in {path} is not text") from error


def _of_this_user(path: Path) -> bytes:
    if not path.exists():
        _create(path)
    if path.stat().st_mode & 0o077:
        raise ConfigurationError(f"others can read the shared secret in {path}: chmod 600 it, or name another one")
    return _checked(_read(path), f"the file {path}")


def _create(path: Path) -> None:
    """All at once, so that two processes that start together end up with the same one."""
    draft = path.with_name(f"secret.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_hex(32))
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    except OSError as error:
        raise ConfigurationError(
            f"cannot make the shared secret {path}: {error.strerror}; set {own.SECRET_FILE.key} to a file that exists"
        ) from error
    finally:
        draft.unlink(missing_ok=True)
