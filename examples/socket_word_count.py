"""Counts the words that arrive on a socket, and prints each word's count whenever it changes.

In one terminal `nc -lk 9999`, in another `python examples/socket_word_count.py --port 9999`; then type.
"""

import argparse

from penstock.common import Types, WatermarkStrategy
from penstock.datastream import StreamExecutionEnvironment
from penstock.datastream.connectors.socket import SocketSource


def main() -> None:
    parser = argparse.ArgumentParser(description="Count words from a socket.")
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=9999)
    arguments = parser.parse_args()

    env = StreamExecutionEnvironment.get_execution_environment()
    lines = env.from_source(
        SocketSource(arguments.host, arguments.port), WatermarkStrategy.no_watermarks(), "lines", Types.STRING()
    )
    lines.flat_map(str.split, Types.STRING()).map(
        lambda word: (word, 1), Types.TUPLE([Types.STRING(), Types.LONG()])
    ).key_by(lambda pair: pair[0], Types.STRING()).sum(1).print()
    env.execute("socket word count")


if __name__ == "__main__":
    main()
