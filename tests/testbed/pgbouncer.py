"""A throw-away PgBouncer in front of a `Postgres`."""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg.rows import dict_row

from tests.testbed.account import reachable, unprivileged
from tests.testbed.debian import debian_program, environment
from tests.testbed.postgres import Postgres
from tests.testbed.process import Server, Started, free_port, remove_folder, temporary_folder, wait_for

ADMIN = "pgbouncer_admin"
"""May change things on the console."""

STATS = "pgbouncer_stats"
"""May only look: SHOW POOLS, SHOW DATABASES, …"""


def pgbouncer_program() -> Path:
    """Return the program: the machine's, else Debian's package, 1.18 or newer.

    Raises:
        PartMissing: it can't be had here.
    """
    return debian_program("pgbouncer", ["pgbouncer"], (1, 18), (2,))


class PgBouncer(Started):
    """One PgBouncer for one database; entering starts it, leaving removes it.

    Clients log in with scram-sha-256, and PgBouncer with the same names and passwords at PostgreSQL.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        postgres: Postgres,
        dbname: str,
        users: Mapping[str, str] | None = None,
        pool_size: int = 10,
        pool_mode: str = "transaction",
        settings: Mapping[str, str | int] | None = None,
    ) -> None:
        """Fetch the program; nothing is started yet.

        Args:
            postgres: The server behind it.
            dbname: The one database that can be reached; letters, digits, ``_``, ``.`` and ``-``.
            users: Names and passwords of roles of PostgreSQL that may log in, beside its superuser.
            pool_size: Server connections for each pair of database and user.
            pool_mode: ``session``, ``transaction`` or ``statement``.
            settings: Further lines of pgbouncer.ini.

        Raises:
            PartMissing: PgBouncer can't be had here.
        """
        self.port = free_port()
        self.dbname = dbname
        self._postgres = postgres
        self._users = {
            "postgres": postgres.password,
            ADMIN: secrets.token_hex(16),
            STATS: secrets.token_hex(16),
            **(users or {}),
        }
        self._settings = {
            "listen_addr": self.host,
            "listen_port": self.port,
            "unix_socket_dir": "",  # its default leaves a socket in /tmp
            "auth_type": "scram-sha-256",
            "admin_users": ADMIN,
            "stats_users": STATS,
            "pool_mode": pool_mode,
            "default_pool_size": pool_size,
            "max_client_conn": 200,
            "ignore_startup_parameters": "extra_float_digits",
            **(settings or {}),
        }
        self._program = pgbouncer_program()
        self._folder: Path | None = None
        self._server: Server | None = None

    @property
    def server(self) -> Server:
        """The process; made, not started, when it is first asked for."""
        if self._server is None:
            self._server = self._make_server()
        return self._server

    @property
    def console_url(self) -> str:
        """The admin console for one who may only look; it takes simple-protocol queries only."""
        return self._address(STATS, "pgbouncer")

    @property
    def admin_url(self) -> str:
        """The admin console for one who may change things."""
        return self._address(ADMIN, "pgbouncer")

    def url(self, user: str = "postgres") -> str:
        """Return the URL of the database for one of the users."""
        return self._address(user, self.dbname)

    def console(self, command: str) -> list[dict[str, Any]]:
        """Run one command (``SHOW POOLS``, ``PAUSE``, ``SET default_pool_size = 2``) as admin; return its rows."""
        with psycopg.connect(
            self.admin_url, autocommit=True, connect_timeout=10, cursor_factory=psycopg.ClientCursor
        ) as connection:
            cursor = psycopg.ClientCursor(connection, row_factory=dict_row)
            cursor.execute(command.encode())
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Start PgBouncer and wait until its console answers (PostgreSQL may be down).

        Raises:
            ServerFailed: it ended, or didn't answer within 30 s.
        """
        self.server.start()
        wait_for(self._answers, 30, "PgBouncer to answer", self.server)

    def stop(self) -> None:
        """Stop PgBouncer, cutting its clients off, and remove its folder."""
        if self._server is not None:
            self._server.stop()
            self._server = None
        if self._folder is not None:
            remove_folder(self._folder)
            self._folder = None

    close = stop

    def pause(self) -> None:
        """Halt the process (SIGSTOP); not the console's PAUSE, which lets queries finish."""
        self.server.pause()

    def resume(self) -> None:
        """Let a halted process run on."""
        self.server.resume()

    def _address(self, user: str, dbname: str) -> str:
        login = f"{quote(user, safe='')}:{quote(self._users[user], safe='')}"
        return f"postgresql://{login}@{self.host}:{self.port}/{quote(dbname, safe='')}"

    def _make_server(self) -> Server:
        account = unprivileged()
        folder = self._folder = temporary_folder("pgbouncer", account.user if account else None)
        program = reachable(self._program, folder)
        users = folder / "userlist.txt"
        users.write_text("".join(f"{_quoted(name)} {_quoted(secret)}\n" for name, secret in self._users.items()))
        target = f"host={self._postgres.host} port={self._postgres.port}"
        lines = {**self._settings, "auth_file": users}
        config = folder / "pgbouncer.ini"
        config.write_text(
            f"[databases]\n{self.dbname} = {target}\n"
            "[pgbouncer]\n" + "".join(f"{name} = {value}\n" for name, value in lines.items())
        )
        return Server(
            "pgbouncer",
            [program, config],
            log=folder / "pgbouncer.log",
            env=environment(program),
            cwd=folder,
            user=account.user if account else None,
            group=account.group if account else None,
        )

    def _answers(self) -> bool:
        try:
            return bool(self.console("SHOW VERSION"))
        except psycopg.OperationalError:
            return False


def _quoted(text: str) -> str:
    """Quote a name or password for PgBouncer's files."""
    return '"' + text.replace('"', '""') + '"'
