"""The command line: `river-exporter` runs the exporter, its subcommands help to set it up."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from exporter import __version__
from exporter.config import PREFIX, Duration, Log, dump, load
from exporter.errors import ConfigError, ExporterError

_M_ARENA_MAX = -8  # glibc's malloc.h

_FLAGS = {
    "web_listen_address": "web.listen_address",
    "web_telemetry_path": "web.telemetry_path",
    "web_config_file": "web.config_file",
    "log_level": "log.level",
    "log_format": "log.format",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; returns the exit code: 0, 1 for a failure, 2 for a wrong configuration or usage."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except ConfigError as error:
        print(f"river-exporter: {error}", file=sys.stderr)
        return 2
    except ExporterError as error:
        print(f"river-exporter: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    add = common.add_argument
    add("--config.file", dest="config_file", metavar="PATH", help="configuration file (YAML)")
    add("--web.listen-address", dest="web_listen_address", metavar="ADDRESS", help="default :10917")
    add("--web.telemetry-path", dest="web_telemetry_path", metavar="PATH", help="default /metrics")
    add("--web.config.file", dest="web_config_file", metavar="PATH", help="TLS and users, as exporter-toolkit's")
    add("--log.level", dest="log_level", metavar="LEVEL", help="debug, info, warning or error")
    add("--log.format", dest="log_format", metavar="FORMAT", help="logfmt or json")
    parser = argparse.ArgumentParser(
        "river-exporter",
        parents=[common],
        description="Prometheus exporter for River: how much of its completer's ten seconds is used, and by what.",
    )
    parser.add_argument("--version", action="version", version=f"river-exporter {__version__}")
    parser.add_argument(
        "--config.follow",
        dest="config_follow",
        action="store_true",
        help="read the file again when it changes, and wait for a right one instead of ending at a wrong one",
    )
    parser.add_argument(
        "--shutdown.linger",
        dest="linger",
        metavar="DURATION",
        type=_duration,
        default=0.0,
        help="go on for so long after SIGTERM, so that what River did at its end is scraped; a second SIGTERM ends it",
    )
    parser.set_defaults(run=_serve)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    check = commands.add_parser("check-config", parents=[common], help="validate and print the configuration")
    check.set_defaults(run=_check_config)

    setup = commands.add_parser("setup-sql", help="print the SQL that makes the exporter's role")
    setup.add_argument("--schema", action="append", metavar="NAME", help="a schema of River; repeat for several")
    setup.add_argument("--role", default="river_exporter", help="name of the role (default %(default)s)")
    setup.add_argument("--replicas", type=int, default=1, help="exporters at the same time (default %(default)s)")
    setup.set_defaults(run=_setup_sql)

    _add_doctor(commands, common)

    return parser


def _add_doctor(commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    doctor = commands.add_parser(
        "doctor",
        parents=[common],
        help="look at everything that can hold completions up, and name it",
        description="Looks for about 15 s at everything that can hold completions up, and changes nothing.",
        epilog="Exit code: 0 when all is well, 1 with a warning, 2 with a problem.",
    )
    add = doctor.add_argument
    add("-v", "--verbose", action="store_true", help="show every finding that is ok, not only their number")
    add("--output", choices=("text", "json", "markdown"), default="text", help="default %(default)s")
    add(
        "--fail-on",
        choices=("warning", "problem"),
        default="warning",
        help="end with 0 when nothing is as bad as that (default %(default)s)",
    )
    add("--show-queries", action="store_true", help="show the last statement of who blocks; it may hold data")
    add("--prometheus", metavar="URL", help="also check that the alerts are loaded there")
    add(
        "--explain",
        action="store_true",
        help="also explain the completing statement on 5 running jobs, rolled back: needs UPDATE on river_job",
    )
    add(
        "--explain.url-file",
        dest="explain_url_file",
        metavar="FILE",
        type=Path,
        help="a file with the connection URL of stronger credentials for --explain",
    )
    doctor.set_defaults(run=_doctor)


def _duration(text: str) -> float:
    if text in ("0", "0s"):
        return 0.0
    try:
        return Duration.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _flags(options: argparse.Namespace) -> dict[str, Any]:
    return {key: getattr(options, name) for name, key in _FLAGS.items() if hasattr(options, name)}


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
    if app is None:  # told to end before there was a right configuration
        return 0
    app.start()
    while not ended.wait(0.5):
        if hangup.is_set() or follower.changed():
            hangup.clear()
            with contextlib.suppress(ConfigError):  # said in the log, and in a metric
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
    from exporter.postgres.address import MISSING, addresses, given

    config = load(_config_file(options), os.environ, _flags(options))
    if given(config, os.environ):
        addresses(config, os.environ)
    else:
        print(f"river-exporter: valid, but to run it lacks {MISSING}", file=sys.stderr)
    print(dump(config), end="")
    return 0


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
