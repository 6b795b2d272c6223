"""Where state and files cannot be kept or read, the job says so in a sentence that names the place."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.testing.commands import Commands, Ended
from penstock.testing.services import Minio

COUNT = """\
import resource, sys, time
from penstock.common import *
from penstock.datastream import *
from penstock.datastream.connectors.file_system import FileSink
from penstock.datastream.state import *

end, fail_at, largest_file, out = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]

def limit():
    if largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

class Count(KeyedProcessFunction):
    def open(self, context):
        limit()
        self.last = context.get_state(ValueStateDescriptor("last", Types.LONG()))

    def process_element(self, value, ctx):
        self.last.update(value)
        yield str(value)

def slow(value):
    if value % 10 == 0:
        time.sleep(0.001)
    if value == fail_at:
        raise ValueError("as asked")
    return value

limit()
env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(1).enable_checkpointing(100)
numbers = env.from_sequence(1, end).map(slow, Types.LONG()).key_by(lambda n: n, Types.LONG())
numbers = numbers.process(Count(), Types.STRING()).uid("count")
if out != "-":
    numbers.sink_to(FileSink.for_row_format(out, Encoder.simple_string_encoder()).build())
env.execute("count")
"""


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    with Commands(tmp_path) as commands:
        yield commands


def run(
    commands: Commands, *definitions: str, end: int = 20_000, fail_at: int = 0, largest_file: int = 0, out: str = "-",
    savepoint: Path | None = None,
) -> Ended:  # fmt: skip
    options = [part for text in ("restart-strategy.type=none", *definitions) for part in ("-D", text)]
    options += [] if savepoint is None else ["-s", str(savepoint)]
    script = commands.script("count.py", COUNT)
    return commands.run("run", "--quiet", *options, script, str(end), str(fail_at), str(largest_file), out)


def sentence(ended: Ended) -> str:
    assert ended.code == 1, ended
    assert "Traceback" not in ended.errors
    warned = "penstock: -D s3.access-key, s3.secret-key: command lines can be read by others"
    lines = [line for line in ended.errors.splitlines() if not line.startswith(warned)]
    said = [line for line in lines if line.startswith("penstock: ")]
    assert len(said) == 1, ended.errors
    return said[0].removeprefix("penstock: ")


def s3(minio: Minio, bucket: str, **different: str) -> list[str]:
    keys = {"endpoint": minio.endpoint, "access-key": minio.access_key, "secret-key": minio.secret_key} | different
    return [f"execution.checkpointing.dir={bucket}/checkpoints"] + [f"s3.{key}={text}" for key, text in keys.items()]


def test_wrong_s3_credentials_are_refused_without_being_told(commands: Commands, minio: Minio) -> None:
    ended = run(commands, *s3(minio, minio.new_bucket(), **{"secret-key": "not-the-secret"}))
    assert re.search(r"checkpoints cannot be kept .* s3://.*SignatureDoesNotMatch", sentence(ended)), ended.errors
    assert "not-the-secret" not in ended.errors
    assert minio.secret_key not in ended.errors


def test_a_missing_bucket_is_named(commands: Commands, minio: Minio) -> None:
    said = sentence(run(commands, *s3(minio, "s3://there-is-none")))
    assert re.search(r"checkpoints cannot be kept .* s3://there-is-none.*NoSuchBucket", said), said


@pytest.mark.parametrize("key", ["execution.checkpointing.dir", "sink"])
def test_a_folder_that_cannot_be_written_is_named(commands: Commands, key: str) -> None:
    # The kernel lets nobody make folders there, not even root.
    ended = run(commands, out="/sys/penstock") if key == "sink" else run(commands, f"{key}=/sys/penstock")
    assert re.search(
        r"/sys/penstock.*: (Read-only file system|Operation not permitted|Permission denied)", sentence(ended)
    )


def test_a_file_in_the_place_of_the_checkpoint_folder_is_named(commands: Commands) -> None:
    place = commands.folder / "place"
    place.write_text("a file")
    said = sentence(run(commands, f"execution.checkpointing.dir={place}"))
    assert "execution.checkpointing.dir" in said
    assert f"in file://{place}: Not a directory" in said
    assert place.read_text() == "a file"


def test_a_disk_without_room_for_checkpoints_ends_the_job(commands: Commands) -> None:
    folder = commands.folder / "checkpoints"
    said = sentence(run(commands, f"execution.checkpointing.dir={folder}", largest_file=20_000))
    assert re.match(r"Exceeded checkpoint tolerable failure threshold. Checkpoint \d+ failed: .*File too large", said)
    assert str(folder) in said
    assert [path for path in folder.rglob("*") if path.is_file() and path.name.startswith(".")] == []


def test_a_disk_without_room_for_output_ends_the_job_and_publishes_nothing_half(commands: Commands) -> None:
    out = commands.folder / "out"
    said = sentence(run(commands, largest_file=20_000, out=str(out)))
    assert "File too large" in said
    whole = [line for path in out.rglob("part-*") for line in path.read_text().splitlines()]
    assert sorted(map(int, whole)) == list(range(1, len(whole) + 1))


# Checkpoints that cannot be restored.


@pytest.fixture(scope="module")
def left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The checkpoints of a job that failed at 5000."""
    retain = "execution.checkpointing.externalized-checkpoint-retention=RETAIN_ON_CANCELLATION"
    files = "execution.checkpointing.data-inline-threshold=0", "state.storage.fs.memory-threshold=0"
    with Commands(tmp_path_factory.mktemp("failed")) as commands:
        folder = commands.folder / "checkpoints"
        ended = run(commands, f"execution.checkpointing.dir={folder}", retain, *files, fail_at=5_000)
        assert "ValueError: as asked" in ended.errors
        yield Path(shutil.move(folder, commands.folder / "moved"))


@pytest.fixture
def failed_at_5000(commands: Commands, left_behind: Path) -> Path:
    """The checkpoint that a failed job has left; a copy, where the first one no longer is."""
    (metadata,) = Path(shutil.copytree(left_behind, commands.folder / "checkpoints")).rglob("_metadata")
    return metadata.parent


def test_a_checkpoint_goes_on_where_the_job_failed(commands: Commands, failed_at_5000: Path) -> None:
    out = commands.folder / "out"
    ended = run(commands, end=6_000, out=str(out), savepoint=failed_at_5000)
    assert ended.code == 0, ended.errors


def test_a_checkpoint_of_a_newer_format_is_refused(commands: Commands, failed_at_5000: Path) -> None:
    metadata = failed_at_5000 / "_metadata"
    metadata.write_bytes(metadata.read_bytes().replace(b'"format":1,', b'"format":99,'))
    said = sentence(run(commands, savepoint=failed_at_5000))
    assert said == f"file://{metadata} has format 99; this Penstock reads up to format 1"


@pytest.mark.parametrize("damage", ["cut", "changed", "missing"])
def test_damaged_metadata_is_named(commands: Commands, failed_at_5000: Path, damage: str) -> None:
    metadata = failed_at_5000 / "_metadata"
    if damage == "cut":
        metadata.write_bytes(metadata.read_bytes()[:-200])
    elif damage == "changed":
        metadata.write_bytes(metadata.read_bytes().replace(b'"max_parallelism": 128', b'"max_parallelism": 129'))
    else:
        metadata.unlink()
    said = sentence(run(commands, savepoint=failed_at_5000))
    assert re.search(
        f"_metadata is missing in file://{failed_at_5000}" if damage == "missing" else "_metadata is damaged", said
    )
    assert str(failed_at_5000) in said


@pytest.mark.parametrize("damage", ["cut", "changed", "missing"])
def test_a_damaged_file_is_named_and_ends_the_job_though_it_might_restart(
    commands: Commands, failed_at_5000: Path, damage: str
) -> None:
    (file, *_) = sorted((failed_at_5000.parent / "shared").iterdir())
    data = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(data[:-1] if damage == "cut" else data[:50] + bytes([data[50] ^ 1]) + data[51:])
    said = sentence(run(commands, "restart-strategy.type=exponential-delay", savepoint=failed_at_5000))
    assert file.name in said
    assert re.search({"missing": "is missing", "cut": r"bytes where \d+ were", "changed": "is damaged"}[damage], said)
