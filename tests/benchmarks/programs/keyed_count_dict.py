"""The same count as a bare loop over a dict: what Python itself costs.

python keyed_count_dict.py --records 5000000 [--keys 10000] [--uniform]
"""

import argparse


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, required=True)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--uniform", action="store_true")
    arguments = parser.parse_args()
    keys = arguments.keys

    counts: dict[str, int] = {}
    if arguments.uniform:
        for n in range(arguments.records):
            word = "w%d" % (hash((n,)) % keys)  # noqa: UP031
            counts[word] = (counts.get(word) or 0) + 1
    else:
        for n in range(arguments.records):
            word = "w%d" % (n % keys)  # noqa: UP031
            counts[word] = (counts.get(word) or 0) + 1


if __name__ == "__main__":
    main()
