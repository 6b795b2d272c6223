"""What it costs to look: the detail of a job of 100 vertices with 8 subtasks each, and a busy worker while others look.

Windows with and without requests take turns in one run, so that the machine's moods fall on both: short ones, for the
moods last for seconds (in windows of 2 s the same code was at 0.92 to 1.08, in these at 0.98 to 0.99).
"""

import bisect
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.measurement import PROGRAMS, Measured, environment, reported, wait_until

from penstock.testing.commands import free_port

COMMAND = (sys.executable, "-c", "from penstock.cli.main import main; main()", "run", "-q")
VERTICES, PARALLELISM = 100, 8
REQUESTS = 50
WINDOW_S = 0.5
WINDOWS = 40
PER_SECOND = 20


def measure() -> list[Measured]:
    detail_s, size = _detail()
    share = _throughput_share()
    note = f"{size / 1e3:.0f} kB; p50 of {REQUESTS} requests, the slowest {detail_s[-1] * 1e3:.1f} ms"
    return [
        Measured("rest_job_detail", statistics.median(detail_s) * 1e3, 20, "ms", "less", note),
        Measured("rest_undisturbed", share, 0.98, "x not asked", "more", f"{PER_SECOND} requests/s"),
    ]


def _detail() -> tuple[list[float], int]:
    """How long each request took, in order, and the size of an answer."""
    with _seen("--vertices", str(VERTICES), "--parallelism", str(PARALLELISM)) as ask:
        job = ask("/jobs")["jobs"][0]["id"]
        size = len(json.dumps(ask(f"/jobs/{job}")))
        took = []
        for _ in range(REQUESTS):
            begun = time.perf_counter()
            ask(f"/jobs/{job}")
            took.append(time.perf_counter() - begun)
            time.sleep(0.02)
        return sorted(took), size


def _throughput_share() -> float:
    """Records per second while REST is asked, over those while it is not: the median of neighbouring windows."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report"
        with _seen("--report", str(report)) as ask:
            job = ask("/jobs")["jobs"][0]["id"]
            vertices = [vertex["id"] for vertex in ask(f"/jobs/{job}")["vertices"]]
            paths = [f"/jobs/{job}", f"/jobs/{job}/checkpoints", *(f"/jobs/{job}/vertices/{v}" for v in vertices)]
            edges = [time.perf_counter()]
            for number in range(2 * WINDOWS):
                _pass_window(edges[-1] + WINDOW_S, ask if number % 2 else None, paths)
                edges.append(time.perf_counter())
            time.sleep(0.5)
        lines = reported(report)
    times, records = [line["at"] for line in lines], [line["records"] for line in lines]
    counts = [_at(times, records, edge) for edge in edges]
    rates = [(counts[i + 1] - counts[i]) / (edges[i + 1] - edges[i]) for i in range(2 * WINDOWS)]
    return statistics.median(rates[i + 1] / rates[i] for i in range(0, 2 * WINDOWS, 2))


def _pass_window(until: float, ask: Callable[[str], Any] | None, paths: list[str]) -> None:
    asked = 0
    while time.perf_counter() < until:
        if ask is not None:
            ask(paths[asked % len(paths)])
        asked += 1
        time.sleep(1 / PER_SECOND)


def _at(times: list[float], records: list[int], at: float) -> float:
    """How many records had come at a time, between two lines of the report."""
    after = bisect.bisect(times, at)
    share = (at - times[after - 1]) / (times[after] - times[after - 1])
    return records[after - 1] + share * (records[after] - records[after - 1])


@contextmanager
def _seen(*arguments: str) -> Iterator[Callable[[str], Any]]:
    """Run the program with REST beside it; gives what asks it, once all tasks run."""
    port = free_port()
    command = [*COMMAND, "--rest-port", str(port), str(PROGRAMS / "seen_by_rest.py"), *arguments]
    process = subprocess.Popen(command, env=environment({}))
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:

            def ask(path: str) -> Any:
                connection.request("GET", path)
                return json.loads(connection.getresponse().read())

            def all_run() -> bool | None:
                try:
                    job = ask(f"/jobs/{ask('/jobs')['jobs'][0]['id']}")
                except (OSError, http.client.HTTPException):
                    connection.close()
                    return None
                return all(vertex["status"] == "RUNNING" for vertex in job["vertices"]) or None

            wait_until(all_run, process, timeout_s=120)
            yield ask
    finally:
        process.terminate()
        process.wait()
