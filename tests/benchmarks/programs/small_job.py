"""The smallest job that has output: a user's program, run by benchmarks."""

from penstock.common import Types
from penstock.datastream import StreamExecutionEnvironment


def main() -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    words = env.from_collection(["to", "be", "or", "not", "to", "be"], Types.STRING())
    ones = words.map(lambda word: (word, 1), Types.TUPLE([Types.STRING(), Types.INT()]))
    ones.key_by(lambda pair: pair[0]).reduce(lambda one, two: (one[0], one[1] + two[1])).print()
    env.execute("small job")


if __name__ == "__main__":
    main()
