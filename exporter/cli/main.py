"""What each command does; what only one needs is imported by it, so that `--help` and `setup-sql` start at once."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from exporter.cli.completion import script
from exporter.cli.parser import FLAGS, VALUES, Parser, make_parser
from exporter.config import PREFIX, Log, dump, examine, load
from exporter.errors import ConfigError, ExporterError
from exporter.logs.masking import mask

if TYPE_CHECKING:
    from exporter.postgres.address import Address

_M_ARENA_MAX = -8  # glibc's malloc.h


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; returns the exit code: 0, 1 for a failure, 2 for a wrong configuration or usage; doctor's are its own."""
    options, unknown = _parser().parse_known_args(arguments)
    if unknown:
        options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        code: int = options.run(options)
    except ConfigError as error:
        for problem in error.problems:
            print(f"river-exporter: {problem}", file=sys.stderr)
        return int(options.wrong)
    except ExporterError as error:
        print(f"river-exporter: {error}", file=sys.stderr)
        return int(options.failed)
    except BrokenPipeError:
        return 1
    return code


def _parser() -> Parser:
    return make_parser(
        {
            "": _serve,
            "check-config": _check_config,
            "setup-sql": _setup_sql,
            "doctor": _doctor,
            "completion": _completion,
        }
    )


def _flags(options: argparse.Namespace) -> dict[str, Any]:
    return {key: getattr(options, name) for name, key in FLAGS.items() if hasattr(options, name)}


def _config_file(options: argparse.Namespace) -> Path | None:
    name = getattr(options, "config_file", None) or os.environ.get(f"{PREFIX}CONFIG_FILE")
    return Path(name) if name else None


def _serve(options: argparse.Namespace) -> int:
    from exporter.app import App
    from exporter.logs import log
    from exporter.reload import Ending, Follower, wait_out

    path, flags = _config_file(options), _flags(options)
    _use_one_arena()

    def make() -> App:
        config = load(path, os.environ, flags)
        log.configure(config.log.level, config.log.format)
        return App(path, os.environ, flags)

    log.configure(Log().level, Log().format)  # until the configuration is read
    log.catch_unhandled()
    ended, hangup = Ending(options.linger), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.told())
    signal.signal(signal.SIGHUP, lambda *_: hangup.set())
    follower = Follower(path if options.config_follow else None)
    app = wait_out(make, flags, ended) if options.config_follow else make()
    if app is None:  # SIGTERM came before there was a right configuration
        return 0
    app.start()
    while not ended.wait(0.5):
        if hangup.is_set() or follower.changed():
            hangup.clear()
            with contextlib.suppress(ConfigError):  # reported in the log, and by a metric
                app.reload()
    logging.getLogger("exporter").info("stopping")
    app.stop()
    return 0


def _use_one_arena() -> None:
    """Keep glibc from an arena of freed memory per thread: ours mostly wait, and several megabytes are saved."""
    import ctypes

    with contextlib.suppress(AttributeError, OSError):  # another C library has no such option
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def _check_config(options: argparse.Namespace) -> int:
    from exporter.http.server import parse
    from exporter.http.webconfig import load as load_web
    from exporter.postgres.address import MISSING, addresses, given, unencrypted

    path = _checked_file(options)
    loaded = examine(path, os.environ, _flags(options))
    config, problems = loaded.config, list(loaded.problems)
    web = config.web.config_file
    found: tuple[Address | None, ...] = ()
    with _collecting(problems):
        if given(config, os.environ):
            found = addresses(config, os.environ, loaded.named)
    with _collecting(problems, {"web.listen_address": loaded.named("web.listen_address")}):
        parse(config.web.listen_address)
    with _collecting(problems):
        if web:
            load_web(Path(web))
    if problems:
        raise ConfigError(*problems)
    if not found:
        print(f"river-exporter: valid, but to run it lacks {MISSING}", file=sys.stderr)
    for warning in unencrypted(found, os.environ):
        print(f"river-exporter: warning: {warning}", file=sys.stderr)
    print(f"# SUCCESS: {path or 'the configuration'} is valid; in force, with secrets masked:")
    for section, address in zip(("database", "river", "pgbouncer"), found, strict=False):
        if address:
            print(f"# {section}: {_described(address)}")
    print(dump(config), end="")
    return 0


def _checked_file(options: argparse.Namespace) -> Path | None:
    if options.file is None:
        return _config_file(options)
    if getattr(options, "config_file", options.file) != options.file:
        options.parser.error("give the file once: as an argument, or with --config.file")
    return Path(options.file)


@contextlib.contextmanager
def _collecting(problems: list[str], named: Mapping[str, str] = MappingProxyType({})) -> Iterator[None]:
    """Go on after what is wrong, so that all of it is named at once; `named` has the place of a key."""
    try:
        yield
    except ConfigError as error:
        for problem in error.problems:
            key, colon, rest = problem.partition(":")
            problems.append(f"{named.get(key, key)}{colon}{rest}")


def _described(address: Address) -> str:
    """Where an address leads, what gave it, and what of it is not sent."""
    text = mask(f"{address}, by {address.source}")
    left_out = address.not_sent()
    return f"{text}; not sent: {', '.join(left_out)}" if left_out else text


def _setup_sql(options: argparse.Namespace) -> int:
    from exporter.postgres.role import render

    print(render(options.schema or ("public",), options.role, replicas=options.replicas), end="")
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from exporter.doctor import Options, run

    code = run(
        Options(
            config_file=_config_file(options),
            explain=options.explain or options.explain_url_file is not None,
            explain_url_file=options.explain_url_file,
            show_queries=options.show_queries,
            prometheus=options.prometheus,
            output=options.output,
            verbose=options.verbose,
        )
    )
    return 0 if options.fail_on == "problem" and code == 1 else code


def _completion(options: argparse.Namespace) -> int:
    print(script(_parser(), options.shell, VALUES), end="")
    return 0
