"""The first process of a node: starts, signals and reaps what runs there, as the test process asks it to.

Run as a file, in new process, network and mount namespaces. Each line on standard input is a request, each line on
standard output its answer. At end of input it ends, and the kernel then ends all others of its process namespace: a
node never outlives the process that asked for it. Needs nothing but Python's own library.
"""

import json
import os
import select
import signal
import subprocess
import sys
from typing import Any, Final

REAPING_S: Final = 0.5
ENDING_S: Final = 10.0


class Agent:
    """The processes it has started, by name."""

    def __init__(self) -> None:
        self.started: dict[str, subprocess.Popen[bytes]] = {}

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked."""
        match asked["do"]:
            case "run":
                return self.run(asked["argv"], asked["timeout_s"])
            case "start":
                return self.start(asked["name"], asked["argv"], asked["log"])
            case "signal":
                return self.signal(asked["name"], asked["number"])
            case "status":
                return {name: process.poll() for name, process in self.started.items()}
            case unknown:
                return {"error": f"unknown request {unknown}"}

    def run(self, argv: list[str], timeout_s: float) -> dict[str, Any]:
        """To its end."""
        try:
            done = subprocess.run(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout_s
            )
        except subprocess.TimeoutExpired as late:
            output = (late.output or b"").decode(errors="replace")
            return {"code": -1, "output": f"{output}\nstill running after {timeout_s:g} s"}
        return {"code": done.returncode, "output": done.stdout.decode(errors="replace")}

    def start(self, name: str, argv: list[str], log: str) -> dict[str, Any]:
        """And leave it running."""
        with open(log, "ab") as output:
            self.started[name] = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        return {"pid": self.started[name].pid}

    def signal(self, name: str, number: int) -> dict[str, Any]:
        """A process that was started; answers when it has ended, if it was told to end."""
        process = self.started[name]
        process.send_signal(number)
        if number in (signal.SIGSTOP, signal.SIGCONT):
            return {}
        try:
            return {"code": process.wait(ENDING_S)}
        except subprocess.TimeoutExpired:
            process.kill()
            return {"code": process.wait()}

    def reap(self) -> None:
        """Orphans become children of the first process; nobody else waits for them."""
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            own = next((process for process in self.started.values() if process.pid == ended.si_pid), None)
            if own is None or own.returncode is not None:
                os.waitpid(ended.si_pid, 0)
            else:
                own.wait()


def main() -> None:
    """Answer until nobody asks any more."""
    agent = Agent()
    rest = b""
    while True:
        if select.select([0], [], [], REAPING_S)[0]:
            read = os.read(0, 65536)
            if not read:
                return
            *lines, rest = (rest + read).split(b"\n")
            for line in lines:
                try:
                    answer = agent.answer(json.loads(line))
                except (OSError, KeyError) as error:
                    answer = {"error": f"{type(error).__name__}: {error}"}
                sys.stdout.write(json.dumps(answer) + "\n")
                sys.stdout.flush()
        agent.reap()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main()
