"""The exporter as a process: bad input, reloads and its end, as a user meets them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
import requests
import yaml

from tests.conftest import PASSWORD, ROLE, Database
from tests.testbed.exporter import ROOT, Exporter, Metrics
from tests.testbed.process import free_port, wait_for
from tests.testbed.proxy import TcpProxy

SECRETS = (PASSWORD, "o%rd", "o%25rd", "ss:w", "ss%3Aw", "w%2Fo")


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the exporter until it ends by itself; no output has a password or a traceback."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("RIVER_EXPORTER_", "PG"))}
    ended = subprocess.run(
        [sys.executable, "-m", "exporter", *arguments],
        env={**clean, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    for secret in (*SECRETS, "Traceback"):
        assert secret not in ended.stdout + ended.stderr
    return ended


Start = Callable[..., Exporter]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start exporters that end with the test; what they logged has no password and no traceback."""
    with ExitStack() as stack:
        started: list[Exporter] = []

        def begin(url: str, **options: object) -> Exporter:
            started.append(Exporter(url, **options))  # type: ignore[arg-type]
            return stack.enter_context(started[-1])

        yield begin
        for each in started:
            assert not [text for text in (*SECRETS, "Traceback") if text in each.server.log_text()]


def up(exporter: Exporter) -> tuple[float | None, list[str]]:
    """Return `river_up`, and the reasons of `river_database_unreachable`."""
    metrics = exporter.metrics()
    reasons = [sample.labels["reason"] for sample in metrics.samples("river_database_unreachable") if sample.value == 1]
    return metrics.total("river_up"), reasons


def until_up(exporter: Exporter, reason: str, timeout: float = 30) -> None:
    """Wait until the database is unreachable for that reason alone, or with the empty one until it is reachable."""
    wanted = (0.0, [reason]) if reason else (1.0, [])
    wait_for(lambda: up(exporter) == wanted, timeout, f"river_up {wanted}", exporter.server, interval=0.1)


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        ([], {}, "database.url: no address of the database; set it in the configuration file, or"),
        ([], {"DATABASE_URL": f"postgres://river:{PASSWORD}@h/d"}, "DATABASE_URL: "),
        (
            [],
            {"DATABASE_URL": "postgres://h/d", "RIVER_EXPORTER_RIVER_TIMEOT": "1s"},
            "did you mean RIVER_EXPORTER_RIVER",
        ),
        (["--config.file", "/nowhere.yaml"], {}, "/nowhere.yaml: cannot read the configuration file: No such file"),
        (
            ["check-config", "--log.level", "loud"],
            {"DATABASE_URL": "postgres://h/d"},
            "log.level: 'loud'; expected one of",
        ),
        (["--web.listen-address", "nonsense"], {"DATABASE_URL": "postgres://h/d"}, "web.listen_address"),
        (["--nonsense"], {}, "unrecognized arguments: --nonsense"),
        (["setup-sql", "--replicas", "0"], {}, "--replicas 0: at least one exporter runs"),
        (["--web.config.file", "/nowhere.yaml"], {"DATABASE_URL": "postgres://h/d"}, "/nowhere.yaml: cannot read"),
    ],
)
def test_a_wrong_configuration_ends_it_with_2_and_one_line(
    arguments: list[str], environment: dict[str, str], message: str
) -> None:
    """What is wrong, where, and the remedy."""
    ended = run(*arguments, **environment)
    assert ended.returncode == 2, ended.stderr
    assert message in ended.stderr
    if "--nonsense" not in arguments:
        assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr


def test_a_password_that_travels_unencrypted_is_warned_of_once(start: Start) -> None:
    """At the start, of each address once, without the password."""
    exporter = start("postgres://u:hunter22@nowhere.invalid/d?sslmode=disable")
    until_up(exporter, "dns")
    text = exporter.server.log_text()
    assert text.count("the password may travel unencrypted to nowhere.invalid, as sslmode is disable") == 1
    assert "hunter22" not in text


def test_a_port_in_use_is_said_with_its_address(start: Start) -> None:
    """One line, exit code 2."""
    port = free_port()
    start("postgres://127.0.0.1:1/x", port=port)
    ended = run("--web.listen-address", f"127.0.0.1:{port}", DATABASE_URL="postgres://127.0.0.1:1/x")
    assert ended.returncode == 2
    assert f"127.0.0.1:{port}" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


def test_check_config_prints_the_effective_configuration_with_secrets_masked(tmp_path: Path) -> None:
    """And what it prints is a configuration."""
    quoted = "p%40ss%3Aw%2Fo%25rd"
    ended = run("check-config", DATABASE_URL="x=", RIVER_EXPORTER_DATABASE_URL=f"postgres://river:{quoted}@h/d")
    assert ended.returncode == 0
    assert "postgres://river:******@h/d" in ended.stdout
    file = tmp_path / "exporter.yaml"
    file.write_text(ended.stdout)
    again = run("check-config", file)
    assert again.returncode == 0
    assert yaml.safe_load(again.stdout) == yaml.safe_load(ended.stdout)
    assert again.stdout.startswith(f"# SUCCESS: {file} is valid; ")


def test_no_password_is_in_the_process_list(database: Database, start: Start) -> None:
    """Addresses come from the environment or a file."""
    exporter = start(database.exporter_url)
    arguments = Path(f"/proc/{exporter.server.pid}/cmdline").read_text()
    assert not [secret for secret in SECRETS if secret in arguments]


def wrong(url: str, **parts: str) -> str:
    """An address of which a part is wrong."""
    kept = psycopg.conninfo.conninfo_to_dict(url)
    return psycopg.conninfo.make_conninfo(**{**kept, **parts})  # type: ignore[arg-type]


WRONG = {
    "auth": {"password": "wrong"},
    "dns": {"host": "nowhere.invalid"},
    "refused": {"port": "1"},
    "tls": {"sslmode": "require"},
    "other": {"dbname": "not_there"},
}


def test_without_a_database_it_stays_up_and_says_why(database: Database, start: Start) -> None:
    """`river_up 0` with the class of the reason; healthy, for it must never stop River, but not ready."""
    for reason, exporter in [(reason, start(wrong(database.exporter_url, **parts))) for reason, parts in WRONG.items()]:
        until_up(exporter, reason)
        assert requests.get(f"{exporter.url}/-/healthy", timeout=5).ok
        ready = requests.get(f"{exporter.url}/-/ready", timeout=5)
        assert ready.status_code == 503
        assert f"no connection to the database: {reason}" in ready.text
        found = exporter.metrics()
        assert not found.samples("river_jobs")
        assert found.samples("river_completer_timeout_seconds")
        assert exporter.server.alive


def test_a_role_without_a_connection_left_is_its_own_trouble(database: Database, start: Start) -> None:
    """Not River's address refuses then, but the exporter's login: `auth`, which pages nobody."""
    with database.connect() as superuser:
        before = superuser.execute("SELECT rolconnlimit FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone()
        assert before is not None
        superuser.execute(f"ALTER ROLE {ROLE} CONNECTION LIMIT 0".encode())
        try:
            until_up(start(database.exporter_url), "auth")
        finally:
            superuser.execute(f"ALTER ROLE {ROLE} CONNECTION LIMIT {before[0]}".encode())


def test_it_comes_back_by_itself(database: Database, start: Start) -> None:
    """From a refused connection and from a black hole, without a restart; counters go on."""
    with TcpProxy(database.server.host, database.server.port) as proxy:
        exporter = start(proxy.url(database.exporter_url))
        until_up(exporter, "")
        wait_for(lambda: exporter.metrics().samples("river_completer_slow_attempts_total"), 10, "the budget")
        proxy.refuse()
        until_up(exporter, "refused")
        proxy.heal()
        until_up(exporter, "")
        proxy.black_hole()
        until_up(exporter, "timeout")
        began = time.monotonic()
        exporter.metrics()
        assert time.monotonic() - began < 1
        proxy.heal()
        until_up(exporter, "")
        wait_for(lambda: requests.get(f"{exporter.url}/-/ready", timeout=5).ok, 20, "it to be ready")


def test_a_rotated_password_is_taken_up(database: Database, start: Start, tmp_path: Path) -> None:
    """The file is read again at the next connect; while it is away the reason says so."""
    secret = tmp_path / "password"
    secret.write_text("not yet")
    url = wrong(database.exporter_url, password="x")
    exporter = start(url, settings={"database.password_file": str(secret)})
    until_up(exporter, "auth")
    secret.unlink()
    wait_for(
        lambda: f"RIVER_EXPORTER_DATABASE_PASSWORD_FILE: cannot read {secret}" in exporter.server.log_text(),
        30,
        "the reason to be said",
    )
    secret.write_text(PASSWORD)
    until_up(exporter, "")


def test_a_database_without_river_is_waited_for(database: Database, start: Start) -> None:
    """It says what is missing and where it looked, and goes on by itself after the migration."""
    with database.connect() as superuser:
        superuser.execute("ALTER TABLE river_job RENAME TO river_jobs")
        exporter = start(database.exporter_url)
        until_up(exporter, "")
        text = "set river.schemas to the schema River was migrated in, or run River's migrations"
        wait_for(lambda: text in exporter.server.log_text(), 10, "the remedy", exporter.server)
        assert exporter.metrics().total("river_exporter_capability", capability="river_schema") == 0
        superuser.execute("ALTER TABLE river_jobs RENAME TO river_job")
        wait_for(lambda: exporter.metrics().samples("river_exporter_is_leader"), 20, "River to be found")


def counters(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every counter of River's, by name and labels."""
    return {
        (name, tuple(sorted(sample.labels.items()))): sample.value
        for name, samples in metrics._samples.items()
        if name.startswith("river_") and name.endswith(("_total", "_count", "_sum", "_bucket"))
        for sample in samples
    }


def test_a_reload_takes_a_good_file_and_keeps_the_old_one_over_a_bad_one(
    database: Database, start: Start, tmp_path: Path
) -> None:
    """By SIGHUP and by POST; no counter falls by it."""
    file = tmp_path / "exporter.yaml"
    file.write_text("river: {timeout: 10s}\n")
    exporter = start(database.exporter_url, arguments=["--config.file", file], settings={"web.enable_reload": "true"})

    def timeout() -> float | None:
        return exporter.metrics().total("river_completer_timeout_seconds")

    def successful() -> float | None:
        return exporter.metrics().total("river_exporter_config_last_reload_successful")

    wait_for(lambda: exporter.metrics().samples("river_jobs_finished_total"), 20, "the first collections")
    before = counters(exporter.metrics())
    file.write_text("river: {timeout: 5s}\n")
    os.kill(exporter.server.pid, signal.SIGHUP)
    wait_for(lambda: timeout() == 5, 10, "the new configuration", exporter.server)
    file.write_text("river: {timeot: 7s}\n")
    answer = requests.post(f"{exporter.url}/-/reload", timeout=5)
    assert answer.status_code >= 400
    assert "river.timeot: no such key; did you mean river.timeout?" in answer.text
    assert (timeout(), successful()) == (5, 0)
    os.kill(exporter.server.pid, signal.SIGHUP)
    file.write_text("river: {timeout: 6s}\n")
    assert requests.post(f"{exporter.url}/-/reload", timeout=5).ok
    wait_for(lambda: (timeout(), successful()) == (6, 1), 10, "the next configuration", exporter.server)
    until_up(exporter, "")
    after = counters(exporter.metrics())
    assert {key: value for key, value in before.items() if after.get(key, 0) < value} == {}
    assert exporter.metrics().total("river_exporter_collector_failures_total") == 0


def test_a_reload_by_http_is_off_unless_it_is_enabled(database: Database, start: Start) -> None:
    """Anybody could ask for it."""
    exporter = start(database.exporter_url)
    assert requests.post(f"{exporter.url}/-/reload", timeout=5).status_code in {403, 404, 405}


@pytest.mark.parametrize("hanging", [False, True])
def test_sigterm_ends_it_within_five_seconds(database: Database, start: Start, hanging: bool) -> None:
    """With 0, also while the database hangs; none of its sessions is left behind."""
    with TcpProxy(database.server.host, database.server.port) as proxy:
        exporter = start(proxy.url(database.exporter_url))
        until_up(exporter, "")
        if hanging:
            proxy.black_hole()
            until_up(exporter, "timeout")
        began = time.monotonic()
        os.kill(exporter.server.pid, signal.SIGTERM)
        wait_for(lambda: not exporter.server.alive, 5, "it to end")
        assert time.monotonic() - began < 5
        assert exporter.server.returncode == 0
        proxy.heal()
    with database.connect() as superuser:

        def gone() -> bool:
            row = superuser.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", [ROLE]).fetchone()
            return row == (0,)

        wait_for(gone, 10, "its sessions to end")
