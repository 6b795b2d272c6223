"""Real services for tests: an S3 server (MinIO) of one's own, with its own port, credentials and data; and a browser.

MinIO is taken from PATH, else from the cache folder, else built there once from its Go module. Chromium is taken from
PATH, else installed once by Debian's apt-get. A service that cannot be had is an error, never a reason to skip. Never
used by product code.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Protocol, final

from penstock.storage.settings import S3Settings
from penstock.testing.tools import SELDOM_COLLECTED, cache_folder, go_install, install_packages, locked, tell

MINIO_MODULE: Final = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"
CHROMIUM_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_PACKAGE: Final = "chromium"
_START_TIMEOUT_S: Final = 30.0
_POLL_S: Final = 0.02


def minio_binary() -> Path:
    """The MinIO server, built first if this machine has none; that takes some minutes, once."""
    on_path = shutil.which("minio")
    if on_path is not None:
        return Path(on_path)
    binary = cache_folder() / "bin" / "minio"
    if not binary.exists():
        with locked(cache_folder() / "minio.lock"):
            if not binary.exists():
                _build_minio(binary)
    return binary


def chromium_binary() -> Path:
    """The browser that pages are looked at with, installed first if this machine has none; some minutes, once."""
    found = _chromium()
    if found is None:
        with locked(cache_folder() / "chromium.lock"):
            found = _chromium() or _install_chromium()
    return found


class S3Server(Protocol):
    """One that jobs use, and that tests look into."""

    access_key: str
    secret_key: str

    @property
    def endpoint(self) -> str:
        """Where jobs reach it."""

    def new_bucket(self) -> str:
        """Make a bucket that no other test has and return its URI."""

    def client(self) -> Any:
        """boto3's own client."""


def options_of(server: S3Server) -> dict[str, str]:
    """How jobs reach it, as configuration keys."""
    return {
        "s3.endpoint": server.endpoint,
        "s3.access-key": server.access_key,
        "s3.secret-key": server.secret_key,
        "s3.region": "us-east-1",
        "s3.retry.max-num-retries": "1",
    }


@final
class Minio:
    """One MinIO process over one data folder; it may be killed and started again and keeps its port and data."""

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        self._folder = folder
        self._host = host
        self._port = _free_port(host)
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: dict[str, Any] = {}
        self.access_key = f"test-{secrets.token_hex(4)}"
        self.secret_key = secrets.token_hex(16)

    @property
    def endpoint(self) -> str:
        return f"http://{self._host}:{self._port}"

    @property
    def address(self) -> tuple[str, int]:
        return (self._host, self._port)

    @property
    def settings(self) -> S3Settings:
        """How to reach this server, with so few attempts that a test of its death is short."""
        return S3Settings(self.endpoint, self.access_key, self.secret_key, region="us-east-1", attempts=2)

    @property
    def options(self) -> dict[str, str]:
        """The same as configuration keys."""
        return options_of(self)

    @property
    def pid(self) -> int:
        assert self._process is not None, "not running"
        return self._process.pid

    def start(self) -> None:
        """Start the server and return when it answers."""
        assert self._process is None, "already running"
        self._folder.mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ,
            "MINIO_ROOT_USER": self.access_key,
            "MINIO_ROOT_PASSWORD": self.secret_key,
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",
            **SELDOM_COLLECTED,
        }
        address = f"{self._host}:{self._port}"
        command = [str(minio_binary()), "server", "--quiet", "--address", address, str(self._folder / "data")]
        with (self._folder / "minio.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._await_health()

    def kill(self) -> None:
        """End the server as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the server in order; nothing happens if it does not run."""
        if self._process is not None:
            self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Kill the server and start it again over the same data and port."""
        self.kill()
        self.start()

    def new_bucket(self) -> str:
        """Make a bucket that no other test has and return its URI."""
        name = f"bucket-{secrets.token_hex(6)}"
        self.client().create_bucket(Bucket=name)
        return f"s3://{name}"

    def client(self) -> Any:
        """boto3's own client, to look at the server past the code under test."""
        if "s3" not in self._clients:
            self._clients["s3"] = s3_client(self.endpoint, self.access_key, self.secret_key)
        return self._clients["s3"]

    def _end(self, how: signal.Signals) -> None:
        assert self._process is not None, "not running"
        self._process.send_signal(how)
        self._process.wait(timeout=_START_TIMEOUT_S)
        self._process = None

    def _await_health(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not _answers(f"{self.endpoint}/minio/health/live"):
            if self._process.poll() is not None or time.monotonic() > deadline:
                log = (self._folder / "minio.log").read_text(errors="replace")
                raise RuntimeError(f"MinIO does not answer at {self.endpoint}:\n{log[-2000:]}")
            time.sleep(_POLL_S)


@contextlib.contextmanager
def running_minio(folder: Path, host: str = "127.0.0.1") -> Iterator[Minio]:
    """A started MinIO that ends with the block, whatever became of it in between."""
    server = Minio(folder, host)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def s3_client(endpoint: str, access_key: str, secret_key: str) -> Any:
    """boto3's own."""
    import boto3

    session = boto3.session.Session(access_key, secret_key, region_name="us-east-1")
    return session.client("s3", endpoint_url=endpoint)


def main() -> None:
    """Have every service ready, so that no test waits for a build; `make services` calls this."""
    print(f"MinIO: {minio_binary()}")
    print(f"Chromium: {chromium_binary()}")


def _build_minio(binary: Path) -> None:
    tell(f"building {MINIO_MODULE} into {binary}: some minutes, once")
    go_install(["-ldflags=-s -w", MINIO_MODULE], folder=cache_folder(), place=binary)


def _chromium() -> Path | None:
    return next((Path(found) for name in CHROMIUM_NAMES if (found := shutil.which(name)) is not None), None)


def _install_chromium() -> Path:
    install_packages(
        [CHROMIUM_PACKAGE], f"tests of the page need a browser called {' or '.join(CHROMIUM_NAMES)} on PATH"
    )
    found = _chromium()
    assert found is not None, "what was installed is on PATH"
    return found


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
