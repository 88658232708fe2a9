"""Commands and flags: each with its default, and the variable that sets the same."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args, get_origin

from exporter.cli.completion import SHELLS
from exporter.config import PREFIX, Duration, keys, variable
from exporter.version import build

FLAGS = {
    "web_listen_address": "web.listen_address",
    "web_telemetry_path": "web.telemetry_path",
    "web_config_file": "web.config_file",
    "log_level": "log.level",
    "log_format": "log.format",
}
"""Configuration keys that a flag sets, by the name of its value."""

VALUES = {name: get_args(keys()[key]) for name, key in FLAGS.items() if get_origin(keys()[key]) is Literal}
"""Values of those that have a closed set, for completion: a wrong one is named by the configuration."""

WRONG, DOCTOR_WRONG = 2, 3
"""Exit codes of a wrong configuration or usage; doctor's 2 is a problem it found."""

_EXAMPLES = """\
examples:
  RIVER_EXPORTER_DATABASE_URL_FILE=/run/secrets/database-url river-exporter
  river-exporter --config.file /etc/river-exporter.yaml --log.format json
  river-exporter check-config /etc/river-exporter.yaml
  river-exporter setup-sql | psql "$ADMIN_URL"
  river-exporter doctor

configuration:
  Every key of the configuration file has a variable, its path in capitals: river.timeout is
  RIVER_EXPORTER_RIVER_TIMEOUT. A flag wins over the variable, the variable over the file. The database's URL is
  taken from DATABASE_URL after these, then from libpq's variables (PGHOST, PGDATABASE, ...).

exit code: 0, 1 for a failure, 2 for a wrong configuration or usage; see `river-exporter doctor --help` for doctor's
"""

_CHECK_EXAMPLES = """\
examples:
  river-exporter check-config /etc/river-exporter.yaml
  RIVER_EXPORTER_RIVER_TIMEOUT=20s river-exporter check-config

exit code: 0 when it is valid, 2 when not; every error is printed, with its line and the fix
"""

_SETUP_EXAMPLES = """\
examples:
  river-exporter setup-sql | psql "$ADMIN_URL"
  river-exporter setup-sql --schema public --schema jobs --replicas 3 > role.sql
"""

_DOCTOR_EXAMPLES = """\
examples:
  river-exporter doctor
  river-exporter doctor --output json --fail-on problem
  river-exporter doctor --explain --explain.url-file /run/secrets/owner-url

exit code: 0 when all is well, 1 with a warning, 2 with a problem, 3 for a wrong configuration or usage
"""

_COMPLETION_EXAMPLES = """\
examples:
  source <(river-exporter completion bash)
  river-exporter completion zsh > "${fpath[1]}/_river-exporter"
  river-exporter completion fish > ~/.config/fish/completions/river-exporter.fish
"""


class Parser(argparse.ArgumentParser):
    """A parser that ends with an exit code of its own when it is used wrongly, and takes no shortened flags."""

    usage_code = WRONG

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(
            *args, **{"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter, **kwargs}
        )

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, and end."""
        self.print_usage(sys.stderr)
        self.exit(self.usage_code, f"{self.prog}: error: {message}\n")


class _Version(argparse.Action):
    """Prints what was built; its file is read only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        print(build())
        parser.exit()


Command = Callable[[argparse.Namespace], int]


def make_parser(run: Mapping[str, Command]) -> Parser:
    """The parser; the chosen command's function and parser become `run` and `parser`.

    Args:
        run: the function of each command; that of "" runs the exporter.
    """
    parser = Parser(
        "river-exporter",
        usage="%(prog)s [flags]\n       %(prog)s COMMAND [flags]",
        description="Prometheus exporter for River: how much of the batch completer's timeout is used, and by what.",
        epilog=_EXAMPLES,
        add_help=False,
    )
    general = parser.add_argument_group("general")
    general.add_argument("-h", "--help", action="help", help="show this and end")
    general.add_argument(
        "--version", action=_Version, nargs=0, help="show version, branch, revision and Python, and end"
    )
    _add_configuration(parser)
    running = parser.add_argument_group("running")
    running.add_argument(
        "--config.follow",
        dest="config_follow",
        action="store_true",
        help="reload the file when it changes, and wait for a valid one instead of ending at an invalid one",
    )
    running.add_argument(
        "--shutdown.linger",
        dest="linger",
        metavar="DURATION",
        type=_duration,
        default=0.0,
        help="shutdown delay after SIGTERM, so that the last completions are scraped; a second SIGTERM ends it "
        "(default: 0s)",
    )
    parser.set_defaults(run=run[""], parser=parser, wrong=WRONG, failed=1)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", prog="river-exporter")
    for name, make in (
        ("check-config", _check_config),
        ("setup-sql", _setup_sql),
        ("doctor", _doctor),
        ("completion", _completion),
    ):
        command = make(commands)
        command.set_defaults(run=run[name], parser=command)
    return parser


def _add_configuration(parser: Parser) -> None:
    add_config_file(parser)
    web = parser.add_argument_group("web")
    _add(web, "--web.listen-address", "web.listen_address", "ADDRESS", "address and port to listen on", ":10917")
    _add(web, "--web.telemetry-path", "web.telemetry_path", "PATH", "path of the metrics", "/metrics")
    _add(web, "--web.config.file", "web.config_file", "FILE", "TLS and users, as exporter-toolkit's", "none")
    logging = parser.add_argument_group("logging")
    _add(logging, "--log.level", "log.level", "LEVEL", "debug, info, warning or error", "info")
    _add(logging, "--log.format", "log.format", "FORMAT", "logfmt or json", "logfmt")


def add_config_file(parser: Parser) -> None:
    """The one flag that every command which reads the configuration has."""
    parser.add_argument_group("configuration").add_argument(
        "--config.file",
        dest="config_file",
        metavar="FILE",
        default=argparse.SUPPRESS,
        help=f"configuration file, YAML (default: none; {PREFIX}CONFIG_FILE)",
    )


def _add(group: argparse._ArgumentGroup, flag: str, key: str, metavar: str, meaning: str, default: str) -> None:
    name = next(name for name, each in FLAGS.items() if each == key)
    text = f"{meaning} (default: {default}; {variable(key)})"
    group.add_argument(flag, dest=name, metavar=metavar, default=argparse.SUPPRESS, help=text)


def _check_config(commands: argparse._SubParsersAction[Parser]) -> Parser:
    parser = commands.add_parser(
        "check-config",
        help="validate the configuration and print what is in force",
        description="Validates file, variables and flags together, connects to nothing, and prints what is in force.",
        epilog=_CHECK_EXAMPLES,
    )
    parser.add_argument("file", nargs="?", metavar="FILE", help="configuration file, as --config.file")
    _add_configuration(parser)
    return parser


def _setup_sql(commands: argparse._SubParsersAction[Parser]) -> Parser:
    parser = commands.add_parser(
        "setup-sql",
        help="print the SQL that creates the exporter's role",
        description="Prints the SQL that creates or updates the exporter's role; run it as a superuser.",
        epilog=_SETUP_EXAMPLES,
    )
    add = parser.add_argument
    add("--schema", action="append", metavar="NAME", help="a schema of River; repeat for several (default: public)")
    add("--role", metavar="NAME", default="river_exporter", help="name of the role (default: %(default)s)")
    add(
        "--replicas",
        metavar="N",
        type=int,
        default=1,
        help="exporters that run at the same time; sizes the role's connection limit (default: %(default)s)",
    )
    return parser


def _doctor(commands: argparse._SubParsersAction[Parser]) -> Parser:
    parser = commands.add_parser(
        "doctor",
        help="report what delays completions, with the fix",
        description="Checks for about 15 s what delays completions, and changes nothing. Web and log settings are not"
        "\nused.",
        epilog=_DOCTOR_EXAMPLES,
    )
    parser.usage_code = DOCTOR_WRONG
    parser.set_defaults(wrong=DOCTOR_WRONG, failed=DOCTOR_WRONG)
    add_config_file(parser)
    report = parser.add_argument_group("report").add_argument
    report("-v", "--verbose", action="store_true", help="also show findings that are ok")
    report(
        "--output", choices=("text", "json", "markdown"), default="text", help="output format (default: %(default)s)"
    )
    report(
        "--fail-on",
        choices=("warning", "problem"),
        default="warning",
        help="lowest severity that makes the exit code non-zero (default: %(default)s)",
    )
    report(
        "--show-queries", action="store_true", help="show the last statement of blocking sessions; it may contain data"
    )
    more = parser.add_argument_group("further checks").add_argument
    more("--prometheus", metavar="URL", help="also check that the alerts are loaded there")
    more(
        "--explain",
        action="store_true",
        help="also explain the completing statement on 5 running jobs, rolled back: needs UPDATE on river_job",
    )
    more(
        "--explain.url-file",
        dest="explain_url_file",
        metavar="FILE",
        type=Path,
        help="a file with the connection URL of stronger credentials for --explain",
    )
    return parser


def _completion(commands: argparse._SubParsersAction[Parser]) -> Parser:
    parser = commands.add_parser(
        "completion",
        help="print a completion script for a shell",
        description="Prints a script with which the shell completes commands, flags and their values.",
        epilog=_COMPLETION_EXAMPLES,
    )
    parser.add_argument("shell", choices=SHELLS, help="shell to print the script for")
    return parser


def _duration(text: str) -> float:
    if text in ("0", "0s"):
        return 0.0
    try:
        return Duration.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
