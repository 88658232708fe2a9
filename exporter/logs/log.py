"""Logging to standard error in the two formats of Prometheus' own programs: logfmt and JSON.

Modules log with the standard library and give a line's fields in `extra`, durations with `_seconds` in their names.
Nothing that is logged can forge a line (control characters are escaped), and passwords are masked
(`exporter.logs.masking`). An exception is one field; its traceback is added only at level debug.

structlog would take 5.9 MiB of memory for the same lines.
"""

from __future__ import annotations

import json
import logging
import math
import sys
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from datetime import UTC, datetime
from types import TracebackType

from exporter.errors import ConfigError
from exporter.logs.masking import mask

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
FORMATS = ("logfmt", "json")
# Longer values are cut: a line must stay readable, and a log collector takes 16 KiB of it at most.
_MAX_VALUE = 4096
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_SHORT_ESCAPES = {"\n": r"\n", "\r": r"\r", "\t": r"\t", '"': r"\"", "\\": r"\\"}

_Fields = Mapping[str, object]


def configure(level: str, format: str) -> None:  # noqa: A002 - the flag is --log.format
    """Send every logger's lines to standard error; may be called again to change level or format.

    Raises:
        ConfigError: the level or the format is none of `LEVELS` and `FORMATS`.
    """
    if level not in LEVELS:
        raise ConfigError(f"log.level: {mask(level)!r} is no level; use debug, info, warning or error")
    if format not in FORMATS:
        raise ConfigError(f"log.format: {mask(format)!r} is no format; use logfmt or json")
    handler = _Handler(sys.stderr)
    handler.setFormatter(_Formatter(_logfmt if format == "logfmt" else _json, tracebacks=level == "debug"))
    root = logging.getLogger()
    for previous in [each for each in root.handlers if isinstance(each, _Handler)]:
        root.removeHandler(previous)
    root.addHandler(handler)
    root.setLevel(LEVELS[level])


def catch_unhandled() -> None:
    """From now on an uncaught exception, in the main thread or another, is one line of the log."""
    logger = logging.getLogger("exporter")

    def main(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            return
        logger.error("unhandled error", exc_info=error.with_traceback(trace))

    def thread(given: threading.ExceptHookArgs) -> None:
        name = given.thread.name if given.thread else ""
        logger.error("unhandled error in a thread", exc_info=given.exc_value, extra={"thread_name": name})

    sys.excepthook = main
    threading.excepthook = thread


class RepeatLimit:
    """Logs a message that repeats at most once per `seconds` for each key, and how many were left out.

    Args:
        seconds: the shortest time between two lines of one key.
        clock: a monotonic clock in seconds.
        max_keys: keys remembered; beyond them the one seen longest ago is forgotten.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic, max_keys: int = 256) -> None:
        self._seconds, self._clock, self._max_keys = seconds, clock, max_keys
        self._lock = threading.Lock()
        self._keys: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()

    def log(
        self, logger: logging.Logger, level: int, msg: str, *, key: Hashable = None, extra: _Fields | None = None
    ) -> None:
        """Log once per period and key (the message itself unless given), then with the number `left_out` since."""
        left_out = self._due(msg if key is None else key)
        if left_out is not None:
            counted = {"left_out": left_out} if left_out else {}
            logger.log(level, msg, extra={**(extra or {}), **counted})

    def forget(self, key: Hashable) -> None:
        """What the key is about has ended: its next line is logged at once."""
        with self._lock:
            self._keys.pop(key, None)

    def _due(self, key: Hashable) -> int | None:
        """None when a line of this key must be left out, else the number left out since the last one."""
        now = self._clock()
        with self._lock:
            last, left_out = self._keys.pop(key, (None, 0))
            if last is not None and now - last < self._seconds:
                self._keys[key] = (last, left_out + 1)
                return None
            self._keys[key] = (now, 0)
            while len(self._keys) > self._max_keys:
                self._keys.popitem(last=False)
            return left_out


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]
    """Standard error; that it is closed or full must not stop or disturb the program."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Drop the line: there is nowhere left to report to."""


class _Formatter(logging.Formatter):
    """Turns a record into its fields in the order Prometheus has them, and those into a line."""

    def __init__(self, line: Callable[[_Fields], str], *, tracebacks: bool) -> None:
        super().__init__()
        self._line, self._tracebacks = line, tracebacks

    def format(self, record: logging.LogRecord) -> str:
        """One line without its newline."""
        fields: dict[str, object] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": {"WARNING": "warn", "CRITICAL": "error"}.get(record.levelname, record.levelname.lower()),
            "component": record.name.removeprefix("exporter.") or "exporter",
            "msg": _clean(_message(record)),
        }
        for name, value in vars(record).items():
            if name not in _STANDARD:
                key = _key(name)
                fields[f"{key}_" if key in fields else key] = _clean(value)
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            fields.setdefault("error", _clean(_describe(error)))
            if self._tracebacks:
                fields["traceback"] = _clean("".join(traceback.format_exception(error)))
        return self._line(fields)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        # A wrong placeholder must not cost the line, nor print a traceback.
        return str(record.msg)


def _describe(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _key(name: str) -> str:
    """A field's name in the characters that logfmt allows."""
    return "".join(each if each.isascii() and (each.isalnum() or each in "_.-") else "_" for each in name) or "_"


def _clean(value: object) -> object:
    """A value that JSON knows: a number, or text that is masked and cut."""
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    try:
        text = mask(_describe(value) if isinstance(value, BaseException) else str(value))
    except Exception:  # any class may be logged, and its own fault must not lose the line
        text = f"<{type(value).__name__}>"
    return text if len(text) <= _MAX_VALUE else f"{text[:_MAX_VALUE]}…"


def _json(fields: _Fields) -> str:
    # ASCII only: so no character can end or disturb a line, whatever the terminal makes of it.
    return json.dumps(fields, ensure_ascii=True, separators=(",", ":"))


def _logfmt(fields: _Fields) -> str:
    return " ".join(f"{name}={_logfmt_value(value, always=name == 'msg')}" for name, value in fields.items())


def _logfmt_value(value: object, *, always: bool = False) -> str:
    """A value as logfmt writes it: quoted when it is empty or has a blank, a quote, = or anything unprintable."""
    if isinstance(value, float):
        return repr(round(value, 6))
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if always or not text or any(each in ' ="\\' or not each.isprintable() for each in text):
        return f'"{"".join(_escaped(each) for each in text)}"'
    return text


def _escaped(character: str) -> str:
    if short := _SHORT_ESCAPES.get(character):
        return short
    if character.isprintable():
        return character
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"
