"""What the log looks like in both formats, what can't get into it, and how repeated messages are held back."""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from exporter.errors import ConfigError
from exporter.logs import log
from exporter.logs.masking import MASK, clear_secrets, register_secret

LOGGER = logging.getLogger("exporter.test")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """The root logger, the hooks and the secrets are as before after each test."""
    root = logging.getLogger()
    handlers, level, hooks = root.handlers[:], root.level, (sys.excepthook, threading.excepthook)
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook, threading.excepthook = hooks
    clear_secrets()


def _logfmt(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that was logged, without its time."""
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert line.endswith("\n")
    time, rest = line[:-1].split(" ", 1)
    assert re.fullmatch(r"ts=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time)
    return rest


def test_logfmt_has_prometheus_fields_then_those_of_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    """`ts level component msg`, then the given fields in their order."""
    log.configure("info", "logfmt")
    fields = {"host": "db", "port": 5432, "wait_seconds": 0.25, "up": False, "reason": None}
    LOGGER.warning("cannot connect", extra=fields)
    expected = 'level=warn component=test msg="cannot connect" host=db port=5432 wait_seconds=0.25 up=false reason=null'
    assert _logfmt(capsys) == expected


def test_json_has_the_same_fields(capsys: pytest.CaptureFixture[str]) -> None:
    """One object a line, the same names, values with their types."""
    log.configure("info", "json")
    LOGGER.error("50 % done", extra={"pid": 7, "up": True, "reason": None, "share": 0.5, "user": "é\n"})
    line = capsys.readouterr().err
    fields = json.loads(line)
    assert list(fields) == ["ts", "level", "component", "msg", "pid", "up", "reason", "share", "user"]
    assert datetime.fromisoformat(fields.pop("ts")).tzinfo is UTC
    assert fields == {
        "level": "error",
        "component": "test",
        "msg": "50 % done",
        "pid": 7,
        "up": True,
        "reason": None,
        "share": 0.5,
        "user": "é\n",
    }
    assert line.isascii()


@pytest.mark.parametrize(
    "hostile", ["a\nlevel=error msg=forged", "\x1b[2J", "\x9b2J", "\u2028x", "\u202eevil", "\r\x00"]
)
@pytest.mark.parametrize("form", log.FORMATS)
def test_no_value_can_forge_a_line_or_drive_a_terminal(
    capsys: pytest.CaptureFixture[str], form: str, hostile: str
) -> None:
    """Line ends, control characters, escapes and direction marks come out escaped in messages, values and names."""
    log.configure("info", form)
    fields: dict[str, Any] = {"value": hostile, hostile: [hostile]}
    LOGGER.info(hostile, extra=fields)
    line = capsys.readouterr().err
    assert line[:-1].isprintable()
    assert len(line.splitlines()) == 1


def test_a_quote_cannot_end_a_logfmt_value(capsys: pytest.CaptureFixture[str]) -> None:
    """A value with quotes and backslashes is quoted and escaped."""
    log.configure("info", "logfmt")
    LOGGER.info('say "hi"', extra={"path": r"C:\x", "empty": "", "sum": "a=b"})
    assert _logfmt(capsys) == r'level=info component=test msg="say \"hi\"" path="C:\\x" empty="" sum="a=b"'


def test_fields_named_like_the_own_ones_do_not_replace_them(capsys: pytest.CaptureFixture[str]) -> None:
    """A field `level` is told apart by an underscore; names that logging reserves are refused by the linter."""
    log.configure("info", "logfmt")
    LOGGER.info("x", extra={"level": "high", "component": "y", "ts": 1})
    assert _logfmt(capsys) == 'level=info component=test msg="x" level_=high component_=y ts_=1'


def test_libraries_that_use_plain_logging_come_out_alike(capsys: pytest.CaptureFixture[str]) -> None:
    """Placeholders and `extra` of the standard library; a wrong placeholder costs neither line nor a traceback."""
    log.configure("info", "logfmt")
    foreign = logging.getLogger("urllib3.connectionpool")
    foreign.warning("%s connections", 3, extra={"pool": "main"})
    assert _logfmt(capsys) == 'level=warn component=urllib3.connectionpool msg="3 connections" pool=main'
    del logging.getLogger().handlers[:-1]  # pytest's own handlers raise at a wrong placeholder
    foreign.warning("%d connections", "many")
    assert _logfmt(capsys) == 'level=warn component=urllib3.connectionpool msg="%d connections"'


def test_lines_below_the_level_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    """And configuring again replaces level and format instead of doubling lines."""
    log.configure("debug", "json")
    log.configure("error", "logfmt")
    LOGGER.warning("quiet")
    LOGGER.error("loud")
    assert _logfmt(capsys) == 'level=error component=test msg="loud"'


@pytest.mark.parametrize(("level", "traced"), [("info", False), ("debug", True)])
def test_an_exception_is_one_field_and_its_traceback_only_at_debug(
    capsys: pytest.CaptureFixture[str], level: str, traced: bool
) -> None:
    """Its class and text on one line, the password in it masked."""
    log.configure(level, "json")
    try:
        raise ValueError("no route\nto postgres://river:p@ss/w:%d@db/app")  # noqa: TRY301 - a traceback is wanted
    except ValueError:
        LOGGER.exception("failed")
    written = capsys.readouterr().err
    fields = json.loads(written)
    assert fields["error"] == f"ValueError: no route to postgres://river:{MASK}@db/app"
    assert ("traceback" in fields) is traced
    assert "p@ss" not in written


@pytest.mark.parametrize("form", log.FORMATS)
def test_a_registered_secret_is_masked_in_every_part_of_a_line(capsys: pytest.CaptureFixture[str], form: str) -> None:
    """Message, values, lists, mappings, exceptions, traceback; whatever characters the secret has."""
    log.configure("debug", form)
    secret = "s3cr\"et'\\@:/% é"
    register_secret(secret)
    try:
        raise RuntimeError(secret)  # noqa: TRY301 - a traceback is wanted
    except RuntimeError as error:
        LOGGER.info(secret, exc_info=error, extra={"text": secret, "many": [secret, {"deep": {secret: secret}}]})
    written = capsys.readouterr().err
    assert "s3cr" not in written
    assert written.count(MASK) >= 6


def test_values_of_any_type_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    """Times, paths, exceptions, numbers that JSON lacks, and objects that can't say what they are."""

    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    log.configure("info", "json")
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    LOGGER.info("x", extra={"a": moment, "b": Path("/x"), "c": OSError("gone"), "d": float("nan"), "e": Broken()})
    fields = json.loads(capsys.readouterr().err)
    assert [fields[name] for name in "abcd"] == ["2026-01-02 00:00:00+00:00", "/x", "OSError: gone", "nan"]
    assert fields["e"] == "<Broken>"


def test_a_long_value_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """A query text of a megabyte stays out of the log."""
    log.configure("info", "json")
    LOGGER.info("x", extra={"text": "y" * 1_000_000})
    assert len(capsys.readouterr().err) < 5000


def test_a_closed_standard_error_disturbs_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The program goes on when nobody reads its log any more."""
    closed = (tmp_path / "log").open("w")
    closed.close()
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", closed)
        log.configure("info", "logfmt")
        LOGGER.info("lost")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("level", "form", "message"),
    [
        ("loud", "logfmt", "log.level: 'loud' is no level; use debug, info, warning or error"),
        ("info", "xml", "log.format: 'xml' is no format; use logfmt or json"),
    ],
)
def test_a_wrong_level_or_format_is_refused(level: str, form: str, message: str) -> None:
    """The message names key, value and what would do."""
    with pytest.raises(ConfigError, match=re.escape(message)):
        log.configure(level, form)


def test_an_error_nobody_caught_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback reaches a user, from a thread or from the main one; Ctrl-C is no error."""
    log.configure("info", "logfmt")
    log.catch_unhandled()
    thread = threading.Thread(target=lambda: 1 / 0, name="sampler")
    thread.start()
    thread.join()
    expected = 'level=error component=exporter msg="unhandled error in a thread" thread_name=sampler'
    assert _logfmt(capsys) == f'{expected} error="ZeroDivisionError: division by zero"'
    sys.excepthook(KeyError, KeyError("x"), None)
    assert _logfmt(capsys) == 'level=error component=exporter msg="unhandled error" error="KeyError: \'x\'"'
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert capsys.readouterr().err == ""


class _Clock:
    """A monotonic clock that stands until moved."""

    now = 100.0

    def __call__(self) -> float:
        """The reading in seconds."""
        return self.now


def test_a_repeated_message_is_logged_once_per_period_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """A dead database fills no log: one line, then one a period with the number left out."""
    log.configure("info", "logfmt")
    clock = _Clock()
    limit = log.RepeatLimit(60, clock)
    for _ in range(10):
        limit.log(LOGGER, logging.WARNING, "cannot connect", extra={"host": "db"})
    assert _logfmt(capsys) == 'level=warn component=test msg="cannot connect" host=db'
    clock.now += 60
    limit.log(LOGGER, logging.WARNING, "cannot connect", extra={"host": "db"})
    assert _logfmt(capsys) == 'level=warn component=test msg="cannot connect" host=db left_out=9'


def test_keys_are_limited_apart_and_can_be_forgotten(capsys: pytest.CaptureFixture[str]) -> None:
    """Another key is not held back, and after an end the next beginning is logged at once."""
    log.configure("info", "logfmt")
    limit = log.RepeatLimit(60, _Clock())
    for key in ("a", "b", "a"):
        limit.log(LOGGER, logging.WARNING, "cannot connect", key=key, extra={"host": key})
    limit.forget("a")
    limit.log(LOGGER, logging.WARNING, "cannot connect", key="a", extra={"host": "a"})
    assert re.findall(r"host=(\w)", capsys.readouterr().err) == ["a", "b", "a"]


def test_the_number_of_remembered_keys_is_bounded(capsys: pytest.CaptureFixture[str]) -> None:
    """Keys may come from outside; memory must not follow them: the one logged longest ago is forgotten."""
    log.configure("info", "logfmt")
    limit = log.RepeatLimit(60, _Clock(), max_keys=2)
    for key in "abcac":
        limit.log(LOGGER, logging.WARNING, "cannot connect", key=key, extra={"host": key})
    assert re.findall(r"host=(\w)", capsys.readouterr().err) == ["a", "b", "c", "a"]
