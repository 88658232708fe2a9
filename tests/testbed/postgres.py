"""A throw-away PostgreSQL server of any supported major version, tuned for tests."""

import os
import secrets
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from tests.testbed.account import reachable, unprivileged
from tests.testbed.postgres_binaries import environment, postgres_home
from tests.testbed.process import (
    Server,
    ServerFailed,
    Started,
    free_port,
    keep_segment,
    remove_folder,
    temporary_folder,
    wait_for,
)

SETTINGS: Mapping[str, str | int] = {
    "listen_addresses": "127.0.0.1",
    "password_encryption": "scram-sha-256",  # the default from 14
    "shared_preload_libraries": "pg_stat_statements",
    "track_commit_timestamp": "on",
    "max_connections": 100,
    "shared_buffers": "32MB",
    "fsync": "off",  # a crash of the machine may lose a throw-away server
    "full_page_writes": "off",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "lc_messages": "C",
}
"""What differs from PostgreSQL's defaults, unless the caller says otherwise."""

MODES = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
"""Shutdown modes, see the PostgreSQL manual, "Shutting Down the Server"."""


class Postgres(Started):
    """One PostgreSQL server with an empty cluster of its own; entering starts it, leaving removes it.

    TCP on 127.0.0.1 asks for a password (scram-sha-256). The superuser ``postgres`` has a random one.
    Run by root, the server runs as ``postgres`` or ``nobody``, since PostgreSQL refuses root.
    """

    host = "127.0.0.1"

    def __init__(self, version: int = 18, settings: Mapping[str, str | int] | None = None) -> None:
        """Fetch the binaries; nothing is started yet.

        Args:
            version: The major version, see `postgres_binaries.VERSIONS`.
            settings: Lines of postgresql.conf, over `SETTINGS`.

        Raises:
            PartMissing: that version can't be had here.
        """
        self.version = version
        self.settings = {**SETTINGS, **(settings or {})}
        self.port = free_port()
        self.password = secrets.token_hex(16)
        self._program_home = postgres_home(version)
        self._make_folder()
        self._server: Server | None = None
        self._segment = 0

    @property
    def data(self) -> Path:
        """The data folder, there once the server was started."""
        return self.folder / "data"

    @property
    def server(self) -> Server:
        """The postmaster's process; its log is PostgreSQL's.

        Raises:
            ServerFailed: the server was not started yet.
        """
        if self._server is None:
            raise ServerFailed(f"PostgreSQL {self.version} was not started")
        return self._server

    @property
    def log(self) -> Path:
        """The server's log, removed with the server."""
        return self.folder / "postgres.log"

    @property
    def alive(self) -> bool:
        """Whether the postmaster runs, be it paused."""
        return self._server is not None and self._server.alive

    def url(self, dbname: str = "postgres", user: str = "postgres", password: str | None = None) -> str:
        """Return a TCP URL; for the superuser its password is filled in."""
        if password is None and user == "postgres":
            password = self.password
        secret = "" if password is None else f":{quote(password, safe='')}"
        login = f"{quote(user, safe='')}{secret}"
        return f"postgresql://{login}@{self.host}:{self.port}/{quote(dbname, safe='')}"

    def connect(self, dbname: str = "postgres") -> psycopg.Connection:
        """Open a superuser's session in autocommit mode over TCP."""
        return psycopg.connect(self.url(dbname), autocommit=True, connect_timeout=10)

    def start(self) -> None:
        """Start the server, at the first time with a new cluster, and wait until it answers.

        Raises:
            ServerFailed: initdb failed, or the server ended or didn't answer within 60 s.
        """
        if not self.folder.exists():  # after `stop`
            self._make_folder()
        if not self.data.exists():
            self._create_cluster()
        if self._server is None:
            account = unprivileged()
            self._server = Server(
                f"postgres-{self.version}",
                [self._home / "bin" / "postgres", "-D", self.data],
                log=self.log,
                env=environment(self._home),
                cwd=self.folder,
                user=account.user if account else None,
                group=account.group if account else None,
                guard_signal=MODES["immediate"],
            )
        self._server.start()
        wait_for(self._answers, 60, f"PostgreSQL {self.version} to answer", self._server)
        self._remember_segment()

    def stop(self, mode: str = "fast") -> None:
        """Stop the server (``smart``, ``fast`` or ``immediate``) and remove its data folder and log."""
        self._shut_down(mode)
        remove_folder(self.folder)
        self._server = None

    close = stop

    def abandon(self) -> None:
        """Waste no time on an orderly end."""
        self.stop("immediate")

    def restart(self, mode: str = "fast") -> None:
        """Stop and start the server on the same data and port."""
        self._shut_down(mode)
        self.start()

    def kill(self) -> None:
        """End all of the server's processes at once (SIGKILL); `start` then recovers as after a crash."""
        self.server.kill()

    def pause(self) -> None:
        """Halt every process of the server (SIGSTOP): it accepts TCP connections and answers nothing."""
        self.server.pause()

    def resume(self) -> None:
        """Let a paused server run on."""
        self.server.resume()

    def create_database(self, name: str, template: str | None = None) -> None:
        """Create a database, a copy of `template` (in which nobody may be logged in) if given."""
        command = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template is not None:
            command += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        with self.connect() as connection:
            connection.execute(command)

    def drop_database(self, name: str) -> None:
        """Drop a database if it is there, ending the sessions in it."""
        with self.connect() as connection:
            command = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            if connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).rowcount:
                identifier = sql.Identifier(name)
                # WITH (FORCE) exists from 13 only; without new sessions, ending the old ones does the same.
                connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(identifier))
                connection.execute(command, [name])
                connection.execute(sql.SQL("DROP DATABASE {}").format(identifier))

    def _make_folder(self) -> None:
        account = unprivileged()
        self.folder = temporary_folder(f"postgres-{self.version}", account.user if account else None)
        self._home = reachable(self._program_home, self.folder)

    def _create_cluster(self) -> None:
        account = unprivileged()
        initdb = [str(self._home / "bin" / "initdb"), "-D", str(self.data)]
        options = ["--username=postgres", "--no-sync", "--encoding=UTF8", "--locale=C"]
        access = ["--auth-local=trust", "--auth-host=scram-sha-256"]
        made = subprocess.run(
            [*initdb, *options, *access],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env={**os.environ, **environment(self._home)},
            user=account.user if account else None,
            group=account.group if account else None,
            extra_groups=[] if account else None,
        )
        if made.returncode != 0:
            reason = " | ".join((made.stderr or made.stdout).strip().splitlines()[-3:])
            raise ServerFailed(f"PostgreSQL {self.version}: initdb failed: {reason}")
        lines = {**self.settings, "port": self.port, "unix_socket_directories": str(self.folder)}
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {_quoted(value)}\n" for name, value in lines.items())

    def _answers(self) -> bool:
        """Whether a session opens; the first over the socket, which only we reach, sets the password."""
        try:
            connection = psycopg.connect(
                host=str(self.folder),
                port=self.port,
                user="postgres",
                options="-c synchronous_commit=local",  # else a standby that is missing holds us up
                autocommit=True,
                connect_timeout=10,
            )
        except psycopg.OperationalError:
            return False
        with connection:
            statement = sql.SQL("ALTER ROLE postgres PASSWORD {}").format(sql.Literal(self.password))
            connection.execute(statement)
        return True

    def _remember_segment(self) -> None:
        """Note the System V segment, named in line 7 of postmaster.pid, that a killed postmaster leaves."""
        if self._segment:
            keep_segment(self._segment, done=True)
        self._segment = int((self.data / "postmaster.pid").read_text().splitlines()[6].split()[1])
        keep_segment(self._segment)

    def _shut_down(self, mode: str) -> None:
        if self._server is not None:
            self._server.stop_signal = MODES[mode]
            self._server.stop(timeout=30)
        if self._segment:
            keep_segment(self._segment, done=True)
            self._segment = 0


def _quoted(value: str | int) -> str:
    """Quote a value for postgresql.conf, see the manual, "Parameter Interaction via the Configuration File"."""
    return "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"
