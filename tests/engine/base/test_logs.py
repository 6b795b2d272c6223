"""What a log line looks like, for people and for machines; whose lines get through; what never shows."""

import asyncio
import io
import json
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from penstock.base import masking
from penstock.base.errors import ConfigurationError, StoreUnavailable
from penstock.base.log_files import LogPlace, LogWriter, Tee
from penstock.base.logs import configure_logging, log_for, log_to_files
from penstock.base.masking import hide, hide_of, masked, masked_entries, names_secret

Said = Callable[[], str]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Said]:
    """Standard error of a process that sets up its logs; all is put back afterwards."""
    logger = logging.getLogger()
    handlers, level = list(logger.handlers), logger.level
    monkeypatch.setattr(masking, "_hidden", ())
    monkeypatch.delenv("PENSTOCK_LOG_LEVEL", raising=False)
    yield lambda: capsys.readouterr().err
    logger.handlers[:] = handlers
    logger.setLevel(level)
    logging.getLogger("chatty").setLevel(logging.NOTSET)


def test_lines_are_a_sentence_and_fields(said: Said) -> None:
    configure_logging({}, process="jobmanager")
    logging.getLogger("a").warning("worker lost", extra={"worker": "one/0.1"})
    logging.getLogger("a").info("not said at this level")
    (line,) = said().splitlines()
    assert line.endswith(" WARNING [jobmanager] worker lost worker=one/0.1")


def test_json_is_an_object_a_line_with_the_exception_in_it(said: Said) -> None:
    configure_logging({"penstock.log.format": "json"}, process="jobmanager")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("a").exception("it failed", extra={"path": Path("/x"), "took_s": 1.5})
    (line,) = said().splitlines()
    entry = json.loads(line)
    assert entry["message"] == "it failed" and entry["path"] == "/x" and entry["took_s"] == 1.5
    assert entry["exception"].endswith("ValueError: two\nlines")


def test_lines_of_a_jobs_loop_and_all_that_it_starts_name_the_job(said: Said) -> None:
    configure_logging({}, process="jobmanager")

    async def of(job: str) -> None:
        log_for(job)
        asyncio.get_running_loop().call_soon(logging.getLogger("a").warning, "called")
        await asyncio.create_task(asyncio.sleep(0))

    async def both() -> None:
        await asyncio.gather(of("one"), of("two"))

    asyncio.run(both())
    logging.getLogger("a").warning("outside")
    assert [line.partition("[jobmanager] ")[2] for line in said().splitlines()] == [
        "called job=one", "called job=two", "outside",
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["lines", "json"])
def test_of_an_error_that_was_raised_on_purpose_whoever_is_on_call_reads_the_sentence(said: Said, form: str) -> None:
    configure_logging({"penstock.log.format": form, "penstock.log.level": "INFO"}, process="jobmanager")
    try:
        raise StoreUnavailable("no answer")
    except StoreUnavailable as error:
        logging.getLogger("a").warning("the journal cannot be reached", exc_info=error)
        logging.getLogger("a").info("how it came to it", exc_info=error)
    warned, looked_into = said().split("how it came to it")
    assert "StoreUnavailable: no answer" in warned
    assert "Traceback" not in warned
    assert "Traceback" in looked_into


@pytest.mark.parametrize("settings", [{"penstock.log.levels": "chatty:INFO"}, {"penstock.log.levels.chatty": "info"}])
def test_single_loggers_have_levels_of_their_own(said: Said, settings: dict[str, str]) -> None:
    configure_logging({"env.log.level": "ERROR"} | settings, process="worker")
    logging.getLogger("chatty.below").info("said")
    logging.getLogger("other").warning("not said")
    assert [line.rpartition(" ")[2] for line in said().splitlines()] == ["said"]


def test_a_level_that_is_none_is_refused(said: Said) -> None:
    with pytest.raises(ConfigurationError, match="penstock.log.levels: 'loud' of chatty is not DEBUG"):
        configure_logging({"penstock.log.levels": "chatty:loud"}, process="worker")


def test_secrets_of_the_configuration_never_show(said: Said, tmp_path: Path) -> None:
    place = LogPlace(log=tmp_path / "a.log", kept_max=1, bytes_max=1 << 20)
    configure_logging({"s3.secret-key": "wJalrXUtnFEMI", "s3.access-key": "AKIA0123"}, process="worker")
    log_to_files(place, rotate=True, printed=False)
    logging.getLogger("a").error("refused: %s", "AKIA0123:wJalrXUtnFEMI", extra={"given": ["wJalrXUtnFEMI"]})
    for text in (said(), place.log.read_text()):
        assert text.endswith("refused: ******:****** given=['******']\n")


def test_logs_that_cannot_be_kept_are_told_of_once_until_they_can(said: Said, tmp_path: Path) -> None:
    configure_logging({}, process="jobmanager")
    (tmp_path / "logs").write_text("in the way")
    place = LogPlace(log=tmp_path / "logs" / "a.log", kept_max=1, bytes_max=1000)
    log_to_files(place, rotate=True, printed=False)
    for _ in range(2):
        for word in ("one", "two"):
            logging.getLogger("a").warning(word)
        lines = [line.partition("[jobmanager] ")[2] for line in said().splitlines()]
        assert lines == ["one", f"logs are lost file={place.log} reason=File exists", "two"]
        (tmp_path / "logs").unlink()
        logging.getLogger("a").warning("three")
        assert place.log.read_text().endswith(" three\n")
        assert said().endswith(" three\n")
        shutil.rmtree(tmp_path / "logs")
        (tmp_path / "logs").write_text("in the way")
        logging.getLogger().handlers[-1].close()


def test_what_is_printed_is_kept_and_standard_output_stays_what_it_was(tmp_path: Path) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), "utf-8", newline="")
    output = Tee(stream, LogWriter(tmp_path / "a.out", pytest.fail))
    print("a line", file=output, flush=True)
    output.buffer.write(b"bytes")
    output.reconfigure(line_buffering=True)
    assert stream.buffer.getvalue() == b"a line\nbytes"
    assert (tmp_path / "a.out").read_text() == "a line\n"
    assert not output.isatty()


def test_keys_that_name_secrets_are_known() -> None:
    shown = {"s3.endpoint": "e", "penstock.security.secret-file": "f", "parallelism.default": "1"}
    secrets = ("s3.secret-key", "s3.access.key", "fs.azure.account.key", "my.Password", "a.apikey", "security.token")
    assert masked_entries({**shown, **dict.fromkeys(secrets, "x")}) == {**shown, **dict.fromkeys(secrets, "******")}
    assert not names_secret("execution.checkpointing.interval")


def test_values_that_are_words_are_not_blotted_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "_hidden", ())
    hide_of({"security.tokens.enabled": "true", "a.secret": "abc", "b.secret": "hunter2hunter2"})
    hide(["hunter2"])
    assert masked("true abc hunter2hunter2 hunter2") == "true abc ****** ******"
