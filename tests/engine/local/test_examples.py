"""The examples do what their first lines say."""

import os
import re
import socket
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from penstock.testing.services import Minio

EXAMPLES = Path(__file__).parents[3] / "examples"
TEXT = "To be, or not to be: that is the question.\nTo sleep, perchance to dream;\n"


def output(name: str, *arguments: str, **variables: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *arguments],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path), **variables},
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number}.txt").write_text(TEXT * number)
    return folder


def counted() -> Counter[str]:
    return Counter(re.findall("[a-z]+", (TEXT * sum(range(20))).lower()))


def test_word_count_prints_the_most_frequent_words(texts: Path, tmp_path: Path) -> None:
    expected = sorted(counted().items(), key=lambda pair: (-pair[1], pair[0]))[:3]
    lines = output(
        "word_count/word_count.py", "--input", str(texts), "--top", "3", "--checkpoints", str(tmp_path / "checkpoints")
    )
    assert lines == [f"({word},{count})" for word, count in expected]


def test_word_count_writes_every_count_into_files(texts: Path, tmp_path: Path) -> None:
    folders = "--output", str(tmp_path / "counts"), "--checkpoints", str(tmp_path / "checkpoints")
    output("word_count/word_count.py", "--input", str(texts), *folders)
    lines = [line for file in (tmp_path / "counts").rglob("part-*") for line in file.read_text().splitlines()]
    assert Counter({word: int(count) for word, count in map(str.split, lines)}) == counted()
    assert len(lines) == len(counted())


def test_socket_word_count_counts_what_arrives() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as thread:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"to be or\nnot to be\n")

        server.settimeout(30)
        serving = thread.submit(serve)
        lines = output("socket_word_count.py", "--host", "127.0.0.1", "--port", str(server.getsockname()[1]))
        serving.result()
    counts = [line.split("> ")[-1] for line in lines]
    assert sorted(counts) == ["(be,1)", "(be,2)", "(not,1)", "(or,1)", "(to,1)", "(to,2)"]


def test_running_average_is_that_of_the_last_three_readings_of_each_sensor() -> None:
    lines = output("running_average.py")
    assert [line for line in lines if "garden" in line] == [
        "(garden,11.0)", "(garden,11.5)", "(garden,13.0)", "(garden,13.0)",
    ]  # fmt: skip
    assert [line for line in lines if "kitchen" in line][-1] == "(kitchen,21.0)"


def test_event_time_timers_find_who_has_left() -> None:
    assert output("event_time_timer.py") == ["ben left at 3000", "cleo left at 9000", "ada left at 15000"]


def test_operator_state_writes_in_bulk() -> None:
    assert output("operator_state.py") == ["12 records, 1 to 12", "12 records, 13 to 24", "12 records, 25 to 36"]


def test_files_arrive_on_s3_once_each(texts: Path, minio: Minio) -> None:
    bucket = minio.new_bucket()
    output(
        "files_to_s3.py", "--input", str(texts), "--word", "sleep", "--bucket", bucket, "--endpoint", minio.endpoint,
        AWS_ACCESS_KEY_ID=minio.access_key, AWS_SECRET_ACCESS_KEY=minio.secret_key,
    )  # fmt: skip
    client, name = minio.client(), bucket.removeprefix("s3://")
    listed = client.list_objects_v2(Bucket=name, Prefix="lines/").get("Contents", [])
    bodies = [client.get_object(Bucket=name, Key=item["Key"])["Body"].read().decode() for item in listed]
    assert sum(body.count("To sleep, perchance to dream;\n") for body in bodies) == sum(range(20))
    assert not [body for body in bodies if "question" in body]
