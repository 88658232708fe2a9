"""The parts that demo, tests and benchmarks share: each is fetched, started and ended for real."""

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
import requests

from tests.testbed import cache, guard
from tests.testbed.pgbouncer import PgBouncer
from tests.testbed.postgres import Postgres
from tests.testbed.process import Server, ServerFailed, free_port, wait_for
from tests.testbed.prometheus import Alertmanager, Prometheus, amtool, promtool

ROOT = Path(__file__).parents[2]

RULES = """
groups:
  - name: always
    rules:
      - alert: Always
        expr: vector(1)
        labels: {severity: critical}
"""

ROUTES = """
route: {receiver: nobody, group_wait: 0s}
receivers: [{name: nobody}]
"""


def start_python(code: str, **environment: str) -> "subprocess.Popen[str]":
    """Run Python code that can import the package, in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


def process_count(text: str) -> int:
    """Count running processes whose command line holds a text."""
    found = 0
    for entry in Path("/proc").iterdir():
        try:
            found += entry.name.isdigit() and text in (entry / "cmdline").read_text(errors="replace")
        except OSError:
            continue  # it ended meanwhile
    return found


@pytest.fixture(scope="module", params=[18, 13])
def server(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    """Yield a running server of the newest and of the oldest supported version."""
    with Postgres(request.param, {"work_mem": "5MB"}) as server:
        yield server


class TestCache:
    """The cache holds a part once, whole, or not at all."""

    @pytest.fixture(autouse=True)
    def empty_cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Give each test an empty cache folder."""
        monkeypatch.setenv("RIVER_EXPORTER_CACHE", str(tmp_path / "cache"))
        return tmp_path / "cache"

    def test_parallel_processes_fetch_a_part_once(self, empty_cache: Path, tmp_path: Path) -> None:
        """Of two processes that need the same part, one builds it and both get it."""
        code = f"""
            import time
            from pathlib import Path
            from tests.testbed.cache import fetch
            def build(folder):
                with Path({str(tmp_path / "builds")!r}).open("a") as file:
                    file.write("built\\n")
                time.sleep(0.5)
                (folder / "part").write_text("whole")
            print((fetch("part-1", build) / "part").read_text())
        """
        children = [start_python(code) for _ in range(3)]
        assert [child.communicate(timeout=30)[0] for child in children] == ["whole\n"] * 3
        assert (tmp_path / "builds").read_text() == "built\n"
        assert sorted(entry.name for entry in empty_cache.iterdir()) == ["locks", "part-1"]

    def test_a_build_that_fails_leaves_nothing(self, empty_cache: Path) -> None:
        """After a failure the cache is as before, and the next try builds again."""

        def build(folder: Path) -> None:
            (folder / "half").touch()
            raise cache.PartMissing("no")

        with pytest.raises(cache.PartMissing):
            cache.fetch("part-1", build)
        assert [entry.name for entry in empty_cache.iterdir()] == ["locks"]
        assert (cache.fetch("part-1", lambda folder: (folder / "whole").touch()) / "whole").exists()

    def test_a_missing_or_failing_tool_is_named_with_the_remedy(self) -> None:
        """The message is one line with part, tool, reason and remedy, and keeps passwords of addresses out."""
        with pytest.raises(cache.PartMissing, match=r"^Part: no-such-tool is not installed; install it$"):
            cache.run(["no-such-tool"], "Part", "install it")
        script = "echo noise >&2; echo 'ERROR: https://me:secret@host refused' >&2; exit 1"
        with pytest.raises(cache.PartMissing) as caught:
            cache.run(["sh", "-c", script], "Part", "try it")
        assert str(caught.value) == "Part: sh failed: ERROR: https://***@host refused; try it"

    def test_a_go_program_is_built_again_when_its_sources_change(self, tmp_path: Path) -> None:
        """The same sources give the same binary without a build; a changed one is a new binary."""
        module = tmp_path / "module"
        module.mkdir()
        (module / "go.mod").write_text("module hello\n\ngo 1.22\n")
        main = module / "main.go"
        main.write_text('package main\n\nfunc main() { println("one") }\n')
        first = cache.go_build(module, "hello")
        built = first.stat().st_mtime_ns
        again = cache.go_build(module, "hello")
        assert (again, again.stat().st_mtime_ns) == (first, built)
        main.write_text(main.read_text().replace("one", "two"))
        second = cache.go_build(module, "hello")
        answers = [subprocess.run([path], capture_output=True, text=True, check=True) for path in (first, second)]
        assert [answer.stderr for answer in answers] == ["one\n", "two\n"]

    def test_rust_that_is_missing_or_too_old_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The part fails with what is needed; nothing is skipped, and nothing is fetched instead."""
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(cache.PartMissing, match=r"^Rust: cargo is not installed; install Rust 1\.95 or later"):
            cache.cargo("1.95")
        for tool in ("cargo", "rustc"):
            (tmp_path / tool).write_text("#!/bin/sh\necho 'rustc 1.94.1 (e408947bf 2026-03-25)'\n")
            (tmp_path / tool).chmod(0o755)
        with pytest.raises(
            cache.PartMissing, match=r"^Rust: rustc 1\.94\.1 .* is too old; install Rust 1\.95 or later"
        ):
            cache.cargo("1.95")
        assert cache.cargo("1.94") == tmp_path / "cargo"

    def test_a_rust_program_is_built_again_when_its_sources_change(self, tmp_path: Path) -> None:
        """The cache is hit while they stay the same."""
        package = tmp_path / "package"
        (package / "src").mkdir(parents=True)
        name = 'name = "hello"\nversion = "0.0.0"\n'
        (package / "Cargo.toml").write_text(f'[package]\n{name}edition = "2024"\nrust-version = "1.85"\n')
        (package / "Cargo.lock").write_text(f"version = 4\n\n[[package]]\n{name}")
        (package / "src" / "main.rs").write_text('fn main() { println!("one") }')
        first = cache.cargo_build(package, "hello")
        assert subprocess.run([first], capture_output=True, text=True, check=True).stdout == "one\n"
        assert cache.cargo_build(package, "hello") == first
        (package / "src" / "main.rs").write_text('fn main() { println!("two") }')
        second = cache.cargo_build(package, "hello")
        assert subprocess.run([second], capture_output=True, text=True, check=True).stdout == "two\n"
        (package / "src" / "main.rs").write_text("fn main() { no }")
        with pytest.raises(cache.PartMissing, match=r"hello: cargo failed: .*; try it by hand: cd "):
            cache.cargo_build(package, "hello")

    def test_go_sources_that_do_not_compile_say_where(self, tmp_path: Path) -> None:
        """The compiler's line and the command to repeat by hand are in the message."""
        (tmp_path / "go.mod").write_text("module hello\n\ngo 1.22\n")
        (tmp_path / "main.go").write_text("package main\n\nfunc main() { nonsense() }\n")
        with pytest.raises(cache.PartMissing, match=r"main\.go:3.*undefined: nonsense.*go build"):
            cache.go_build(tmp_path, "hello")


class TestProcess:
    """A server is never left behind, and a wait for one always ends."""

    def test_a_killed_parent_takes_servers_children_and_folders_along(self) -> None:
        """After SIGKILL of the parent, neither server, nor its child, nor any folder is there."""
        parent = start_python(
            """
            import sys, time
            from tests.testbed.process import Server, temporary_folder, wait_for
            server = Server("sleeper", ["sh", "-c", "sleep 4242 & sleep 4242 & echo both; wait"])
            server.start()
            wait_for(lambda: "both" in server.log_text(), 10, "both sleepers", server)
            server.pause()
            print(temporary_folder("left"), server.log, flush=True)
            time.sleep(600)
            """
        )
        with parent:
            assert parent.stdout is not None
            folder, log = map(Path, parent.stdout.readline().split())
            wait_for(lambda: process_count("sleep\x004242") == 2, 10, "the sleepers")
            assert folder.is_dir()
            assert log.is_file()
            parent.kill()
        wait_for(lambda: process_count("sleep\x004242") == 0, 10, "the sleepers to be gone")
        wait_for(lambda: not folder.exists() and not log.parent.exists(), 10, "the folders to be gone")

    def test_stopping_ends_children_that_outlive_their_server(self) -> None:
        """Stop waits for the server, then kills what it has left."""
        with Server("parent", ["sh", "-c", "sleep 4343 & sleep 4343; true"]) as server:
            wait_for(lambda: process_count("sleep\x004343") == 2, 10, "the sleepers", server)
        assert process_count("sleep\x004343") == 0
        assert not server.log.exists()

    def test_a_server_that_does_not_listen_to_signals_is_killed(self) -> None:
        """After the timeout stop uses SIGKILL."""
        with Server("deaf", ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"]) as server:
            wait_for(lambda: "ready" in server.log_text(), 10, "the trap", server)
            server.stop(timeout=0.2)
            assert server.returncode == -9

    def test_waiting_ends_when_the_server_ends(self) -> None:
        """The message says what was waited for, the exit code and the end of the log."""
        with (
            Server("short", ["sh", "-c", "echo out of luck; exit 3"]) as server,
            pytest.raises(ServerFailed, match=r"short ended \(3\) while waiting for luck; its log ends: out of luck"),
        ):
            wait_for(lambda: False, 30, "luck", server)

    def test_waiting_ends_at_the_deadline(self) -> None:
        """Without a server the message names the limit and what was waited for."""
        with pytest.raises(ServerFailed, match=r"waited 0.1 s in vain for rain"):
            wait_for(lambda: False, 0.1, "rain")

    def test_a_program_that_is_not_there_is_named(self) -> None:
        """No traceback of subprocess: one line with the server and the program."""
        server = Server("ghost", ["/no/such/program"])
        with pytest.raises(ServerFailed, match=r"ghost can't be started: .*/no/such/program"):
            server.start()
        server.close()

    def test_no_port_is_given_twice(self) -> None:
        """Threads that ask at the same time get ports of their own."""
        ports: list[int] = []
        threads = [threading.Thread(target=lambda: ports.append(free_port())) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(ports)) == 20


class TestPostgres:
    """PostgreSQL of the newest and of the oldest supported version."""

    def test_it_runs_as_asked(self, server: Postgres) -> None:
        """Version and settings are those asked for, and the extension can be created."""
        names = ["work_mem", "track_commit_timestamp", "shared_buffers", "fsync", "max_connections"]
        with server.connect() as connection:
            found = [connection.execute(f"SHOW {name}".encode()).fetchone() for name in names]
            assert found == [("5MB",), ("on",), ("32MB",), ("off",), ("100",)]
            assert connection.info.server_version // 10000 == server.version
            connection.execute("CREATE EXTENSION pg_stat_statements")
            assert connection.execute("SELECT count(*) > 0 FROM pg_stat_statements").fetchone() == (True,)

    def test_it_never_runs_as_root(self, server: Postgres) -> None:
        """Root's servers run as another account, everybody else's as their own."""
        owner = Path(f"/proc/{server.server.pid}").stat().st_uid
        assert owner != 0
        assert os.geteuid() in {0, owner}

    def test_tcp_asks_for_a_password(self, server: Postgres) -> None:
        """A wrong password is refused, a right one with awkward signs is taken, and it is stored as SCRAM."""
        password = "a@:/%'\"b c"
        with server.connect() as connection:
            connection.execute(psycopg.sql.SQL("CREATE ROLE app LOGIN PASSWORD {}").format(password))
            stored = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'app'").fetchone()
        assert stored is not None
        assert stored[0].startswith("SCRAM-SHA-256$")
        with psycopg.connect(server.url(user="app", password=password)) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("app",)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.url(password="wrong"))

    def test_databases_are_copied_and_dropped_under_their_users(self, server: Postgres) -> None:
        """A copy has the template's tables; dropping ends the sessions in it, and twice does no harm."""
        server.create_database("template")
        with server.connect("template") as connection:
            connection.execute("CREATE TABLE river ()")
        server.create_database("My copy", template="template")
        with closing(server.connect("My copy")) as connection:
            assert connection.execute("SELECT count(*) FROM river").fetchone() == (0,)
            server.drop_database("My copy")
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        server.drop_database("My copy")
        server.drop_database("template")

    def test_it_keeps_its_data_over_restart_and_crash(self, server: Postgres) -> None:
        """What was committed is there after a restart and after all its processes were killed."""
        with server.connect() as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        server.restart()
        server.kill()
        assert not server.alive
        server.start()
        with server.connect() as connection:
            assert connection.execute("SELECT one FROM kept").fetchone() == (1,)

    def test_it_answers_nobody_while_it_is_paused(self, server: Postgres) -> None:
        """Also a session that is open gets no answer, until the server is resumed."""
        with server.connect() as connection:
            server.pause()
            connection.pgconn.send_query(b"SELECT 1")
            states = [
                found[0]
                for pid, _ in guard.tree(server.server.pid, server.server._start_time)
                if (found := guard.stat(pid))
            ]
            assert len(states) > 5
            assert set(states) == {"T"}
            with pytest.raises(psycopg.errors.ConnectionTimeout):
                psycopg.connect(server.url(), connect_timeout=2)
            server.resume()
            result = connection.pgconn.get_result()
            assert result is not None
            assert result.get_value(0, 0) == b"1"
            while connection.pgconn.get_result():
                pass

    def test_it_starts_while_a_synchronous_standby_is_missing(self) -> None:
        """Starting doesn't wait for the standby that every other commit waits for."""
        with Postgres(18, {"synchronous_standby_names": "nobody"}) as server, server.connect() as connection:
            assert connection.execute("SHOW synchronous_standby_names").fetchone() == ("nobody",)

    def test_an_unknown_version_is_refused(self) -> None:
        """The message says which versions there are."""
        with pytest.raises(cache.PartMissing, match="PostgreSQL 9: there is 12 to 18"):
            Postgres(9)

    def test_a_wrong_setting_is_reported_with_the_servers_reason(self) -> None:
        """The end of the server's log is in the message, and nothing is left behind."""
        server = Postgres(18, {"no_such_setting": 1})
        with pytest.raises(ServerFailed, match="unrecognized configuration parameter"), server:
            pass
        assert not server.folder.exists()

    def test_a_killed_parent_takes_the_server_and_its_memory_along(self) -> None:
        """After SIGKILL of the parent there is no postmaster, no backend, no data folder, no shared memory."""
        parent = start_python(
            """
            import time
            from tests.testbed.postgres import Postgres
            server = Postgres(18)
            server.start()
            print(server.server.pid, server.server._start_time, server.folder, server._segment, flush=True)
            time.sleep(600)
            """
        )
        with parent:
            assert parent.stdout is not None
            pid, started, folder, segment = parent.stdout.readline().split()
            parent.kill()
        wait_for(lambda: process_count(folder) == 0, 10, "the postmaster to be gone")
        wait_for(lambda: not Path(folder).exists(), 10, "the data folder to be gone")
        assert not guard.running(int(pid), int(started))
        segments = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
        assert segment not in [line.split()[1] for line in segments]


class TestPgBouncer:
    """PgBouncer in transaction mode, in front of the session's PostgreSQL."""

    @pytest.fixture
    def bouncer(self, postgres: Postgres) -> Iterator[PgBouncer]:
        """Yield a PgBouncer with one server connection for a role with an awkward password."""
        password = 'a@:/%"b'
        with postgres.connect() as connection:
            connection.execute(psycopg.sql.SQL("CREATE ROLE bounced LOGIN PASSWORD {}").format(password))
        postgres.create_database("bounced")
        with PgBouncer(postgres, "bounced", {"bounced": password}, pool_size=1) as bouncer:
            yield bouncer
        postgres.drop_database("bounced")
        with postgres.connect() as connection:
            connection.execute("DROP ROLE bounced")

    def test_clients_share_a_server_connection_between_transactions(self, bouncer: PgBouncer) -> None:
        """Two clients in turn run in the same backend; the console shows both."""
        url = bouncer.url("bounced")
        with psycopg.connect(url, autocommit=True) as one, psycopg.connect(url, autocommit=True) as two:
            backends = [client.execute("SELECT pg_backend_pid(), current_user").fetchone() for client in (one, two)]
            assert backends[0] == backends[1]
            pools = {pool["user"]: pool for pool in bouncer.console("SHOW POOLS")}
            assert pools["bounced"]["cl_active"] == 2
            assert pools["bounced"]["pool_mode"] == "transaction"

    def test_the_console_separates_looking_from_changing(self, bouncer: PgBouncer) -> None:
        """The address given to others may look and may not change anything."""
        with psycopg.connect(bouncer.console_url, autocommit=True, cursor_factory=psycopg.ClientCursor) as console:
            assert console.execute("SHOW POOLS").fetchall()
            with pytest.raises(psycopg.Error, match="admin access needed"):
                console.execute("PAUSE")
        bouncer.console("SET default_pool_size = 2")
        settings = {row["key"]: row["value"] for row in bouncer.console("SHOW CONFIG")}
        assert settings["default_pool_size"] == "2"

    def test_a_wrong_password_is_refused(self, bouncer: PgBouncer) -> None:
        """PgBouncer checks passwords itself."""
        with pytest.raises(psycopg.OperationalError, match="authentication failed"):
            psycopg.connect(bouncer.url("bounced").replace("%22b@", "wrong@"))

    def test_it_answers_nobody_while_it_is_paused(self, bouncer: PgBouncer) -> None:
        """New clients wait while it is halted, and are served afterwards."""
        bouncer.pause()
        with pytest.raises(psycopg.errors.ConnectionTimeout):
            psycopg.connect(bouncer.url(), connect_timeout=2)
        bouncer.resume()
        with psycopg.connect(bouncer.url(), connect_timeout=10) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


class TestPrometheus:
    """Prometheus, Alertmanager and their tools."""

    @pytest.fixture
    def rules(self, tmp_path: Path) -> Path:
        """Return a rule file with an alert that always fires."""
        path = tmp_path / "rules.yaml"
        path.write_text(RULES)
        return path

    @pytest.fixture
    def routes(self, tmp_path: Path) -> Path:
        """Return an Alertmanager configuration."""
        path = tmp_path / "alertmanager.yaml"
        path.write_text(ROUTES)
        return path

    def test_an_alert_travels_from_prometheus_to_alertmanager(self, rules: Path, routes: Path) -> None:
        """Prometheus evaluates the rule, sends the alert, and Alertmanager has it."""
        with (
            Alertmanager(routes) as alertmanager,
            Prometheus(rules=[rules], alertmanagers=[alertmanager.address]) as prometheus,
        ):
            (alert,) = wait_for(alertmanager.alerts, 30, "the alert", prometheus.server)
            assert alert["labels"] == {"alertname": "Always", "severity": "critical"}
            assert [found["state"] for found in prometheus.alerts()] == ["firing"]

    def test_prometheus_scrapes_what_it_is_given(self) -> None:
        """What answers is `up` 1, what doesn't is 0, now and over time."""
        nobody = f"127.0.0.1:{free_port()}"
        with Prometheus() as other, Prometheus(targets={"other": [other.address], "nobody": [nobody]}) as prometheus:
            wait_for(lambda: len(prometheus.query("up")) == 2, 30, "both targets to be tried", prometheus.server)
            found = {sample.labels["job"]: sample for sample in prometheus.query("up")}
            assert {job: sample.value for job, sample in found.items()} == {"other": 1, "nobody": 0}
            assert {target["labels"]["job"] for target in prometheus.targets()} == {"other", "nobody"}
            moment = found["nobody"].time
            (series,) = prometheus.range('up{job="nobody"}', moment, moment + 2)
            assert series.points[:1] == [(moment, 0)]
            assert prometheus.query("scalar(vector(7))")[0].value == 7
            with pytest.raises(ServerFailed, match=r"prometheus: HTTP 400: .*parse error"):
                prometheus.query("up{")

    def test_a_wrong_configuration_is_reported_with_the_servers_reason(self, tmp_path: Path) -> None:
        """The end of the server's log is in the message, and the folder is gone."""
        config = tmp_path / "prometheus.yaml"
        config.write_text("nonsense: true\n")
        prometheus = Prometheus(config)
        with pytest.raises(ServerFailed, match="field nonsense not found"), prometheus:
            pass
        assert not prometheus.folder.exists()

    def test_a_server_that_was_stopped_is_gone(self, routes: Path) -> None:
        """After leaving the block nothing listens and nothing is left on disk."""
        with Alertmanager(routes) as alertmanager:
            assert alertmanager.get("/api/v2/status")["cluster"]["status"] == "disabled"
        assert not alertmanager.folder.exists()
        with pytest.raises(requests.ConnectionError):
            requests.get(alertmanager.url, timeout=5)

    def test_promtool_judges_rules(self, rules: Path) -> None:
        """Good rules pass; a wrong expression fails."""
        assert subprocess.run([promtool(), "check", "rules", rules], check=False).returncode == 0
        rules.write_text(RULES.replace("vector(1)", "vector("))
        assert subprocess.run([promtool(), "check", "rules", rules], check=False).returncode != 0

    def test_amtool_judges_routes(self, routes: Path) -> None:
        """A good configuration passes; a route to an unknown receiver fails."""
        assert subprocess.run([amtool(), "check-config", routes], check=False).returncode == 0
        routes.write_text(ROUTES.replace("{receiver: nobody,", "{receiver: somebody,"))
        assert subprocess.run([amtool(), "check-config", routes], check=False).returncode != 0
