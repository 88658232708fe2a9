"""The command line: what each command lists, which exit codes it has, and what shells complete."""

from __future__ import annotations

import argparse
import platform
import subprocess
from pathlib import Path

import pytest

from exporter import __version__
from exporter.cli import main
from exporter.cli.completion import SHELLS
from exporter.cli.main import _parser
from exporter.cli.parser import FLAGS
from exporter.config import keys, variable
from exporter.version import FILE, build


def help_of(*command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what `--help` prints."""
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Leave no variable of the environment that a command would read, and lines of a fixed width."""
    for name in ("DATABASE_URL", "PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE", "RIVER_EXPORTER_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return monkeypatch


@pytest.mark.usefixtures("clean")
def test_help_has_the_default_and_the_variable_of_each_flag(capsys: pytest.CaptureFixture[str]) -> None:
    """In groups, with examples; every flag that sets a key is one of the configuration."""
    text = help_of(capsys=capsys)
    for key in FLAGS.values():
        assert key in keys()
        assert variable(key) in text
    assert text.count("(default: ") == len(FLAGS) + 2
    for group in ("general:", "configuration:", "web:", "logging:", "running:", "commands:", "examples:"):
        assert f"\n{group}" in text


@pytest.mark.usefixtures("clean")
def test_doctor_lists_only_flags_that_it_uses(capsys: pytest.CaptureFixture[str]) -> None:
    """It serves nothing and logs nothing."""
    text = help_of("doctor", capsys=capsys)
    assert "--config.file" in text
    assert "3 for a wrong configuration or usage" in text
    assert not [flag for flag in ("--web.", "--log.", "--shutdown") if flag in text]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--nonsense"], 2),
        (["check-config", "--config.file"], 2),
        (["check-config", "a", "--config.file", "b"], 2),
        (["check-config", "--web.listen"], 2),
        (["doctor", "--nonsense"], 3),
        (["doctor", "--output", "pdf"], 3),
        (["doctor", "--log.level", "debug"], 3),
        (["completion", "tcsh"], 2),
    ],
)
def test_wrong_usage_has_an_exit_code_of_its_own(
    arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Doctor's 2 is a problem that it found."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == code
    assert "error: " in capsys.readouterr().err


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize(("command", "code"), [("check-config", 2), ("doctor", 3)])
def test_a_wrong_configuration_ends_doctor_with_3_and_others_with_2(
    command: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where no address of the database is given, or a file is missing."""
    file = tmp_path / "exporter.yaml"
    file.write_text("river: {timeout: 5}\n")
    assert main([command, "--config.file", str(file)]) == code
    assert "river.timeout: 5 is no duration" in capsys.readouterr().err
    assert main([command, "--config.file", str(tmp_path / "missing")]) == code
    file.write_text("database:\n  url: mysql://h/d\n")
    assert main([command, "--config.file", str(file)]) == code
    assert f"{file}:2: database.url: mysql:// is not a scheme of PostgreSQL" in capsys.readouterr().err
    if command == "doctor":
        file.write_text("")
        assert main([command, "--config.file", str(file)]) == code


@pytest.mark.usefixtures("clean")
def test_check_config_names_everything_that_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Keys, addresses, the listen address and the web configuration, each on a line with its place."""
    file, web = tmp_path / "exporter.yaml", tmp_path / "web.yaml"
    web.write_text("nothing: 1\n")
    file.write_text(
        "river:\n  timeot: 1s\n  url: mysql://u:secret@h/d\n"
        "database:\n  url: postgres://u:secret@h:99999/d?sslmode=bogus\n"
        f"web:\n  listen_address: x\n  config_file: {web}\n"
    )
    assert main(["check-config", str(file)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "secret" not in printed.err
    lines = [line.replace(f"{tmp_path}/", "") for line in printed.err.splitlines()]
    assert [" ".join(line.split()[:3]) for line in lines] == [
        "river-exporter: exporter.yaml:2: river.timeot:",
        "river-exporter: exporter.yaml:5: database.url:",
        "river-exporter: exporter.yaml:5: database.url:",
        "river-exporter: exporter.yaml:3: river.url:",
        "river-exporter: exporter.yaml:7: web.listen_address:",
        "river-exporter: web.yaml:1: nothing:",
    ]


def test_check_config_reports_success_with_what_is_in_force(
    tmp_path: Path, clean: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where each address came from, what of it is not sent, and a warning of a password that travels unencrypted."""
    file = tmp_path / "exporter.yaml"
    file.write_text("river: {url: 'postgres://u@localhost/d?pool_max_conns=4'}\n")
    clean.setenv("DATABASE_URL", "postgres://u:hunter22@db/d")
    assert main(["check-config", str(file)]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[:3] == [
        f"# SUCCESS: {file} is valid; in force, with secrets masked:",
        "# database: db:5432/d, by DATABASE_URL",
        f"# river: localhost:5432/d, by {file}:1: river.url; not sent: pool_max_conns",
    ]
    (warning,) = printed.err.splitlines()
    assert warning.startswith("river-exporter: warning: DATABASE_URL: the password may travel unencrypted to db")
    assert "hunter22" not in printed.out + printed.err


def test_version_is_what_the_programs_of_prometheus_print(capsys: pytest.CaptureFixture[str]) -> None:
    """A checkout knows no revision; the image does."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    first, *_ = capsys.readouterr().out.splitlines()
    assert first == f"river-exporter, version {__version__} (branch: {build().branch}, revision: {build().revision})"


def test_the_image_knows_what_it_was_built_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a file beside the package; what the file leaves out or empty is unknown."""
    monkeypatch.setattr("exporter.version.resources.files", lambda _package: tmp_path)
    (tmp_path / FILE).write_text('{"revision": "abc", "branch": ""}')
    found = build.__wrapped__()
    assert (found.version, found.revision, found.branch) == (__version__, "abc", "unknown")
    assert found.pythonversion == platform.python_version()


# --- completion


def spelt() -> dict[str, set[str]]:
    """Return the flags of each command."""
    parser = _parser()
    (commands,) = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    parsers = {"": parser, **commands.choices}
    return {
        name: {flag for action in each._actions for flag in action.option_strings} for name, each in parsers.items()
    }


def completion(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the script for a shell."""
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_and_flag_is_completed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The script is made of the parser, so nothing is forgotten."""
    text = completion(shell, capsys)
    for command, flags in spelt().items():
        assert command in text
        for flag in flags:
            assert (
                (f"-l {flag[2:]} " if flag.startswith("--") else f"-s {flag[1:]} ") in text
                if shell == "fish"
                else flag in text
            )


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["che"], ["check-config"]),
        (["--web.t"], ["--web.telemetry-path"]),
        (["--log.level", ""], ["debug", "info", "warning", "error"]),
        (["--log.format", "j"], ["json"]),
        (["doctor", "--fail"], ["--fail-on"]),
        (["doctor", "--output", ""], ["text", "json", "markdown"]),
        (["doctor", "--web"], []),
        (["completion", "z"], ["zsh"]),
        (["setup-sql", "--role", ""], []),
        (["check-config", "exporter.y"], ["exporter.yaml"]),
        (["--config.file", "exporter.y"], ["exporter.yaml"]),
    ],
)
def test_bash_completes(
    words: list[str], wanted: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a real bash: commands, flags of the command, values, files."""
    (tmp_path / "exporter.yaml").touch()
    quoted = " ".join(f"'{word}'" for word in ["river-exporter", *words])
    program = (
        f"{completion('bash', capsys)}\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words)}\n"
        'complete -p river-exporter >/dev/null && _river_exporter; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stderr == ""
    assert done.stdout.split() == wanted
