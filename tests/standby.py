"""A real physical standby of a test's PostgreSQL, for what only replication shows."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.testbed.account import reachable, unprivileged
from tests.testbed.postgres import Postgres
from tests.testbed.postgres_binaries import environment, postgres_home
from tests.testbed.process import Server, free_port, remove_folder, temporary_folder, wait_for


@contextmanager
def standby(primary: Postgres, name: str, slot: str | None = None, port: int | None = None) -> Iterator[Server]:
    """Copy the primary, start the copy as its standby with hot_standby_feedback, and wait until it streams.

    Args:
        primary: of version 18, whose binaries bring pg_basebackup.
        name: its application_name, which `synchronous_standby_names` may give.
        slot: makes the standby use a replication slot of that name.
        port: where it listens; a free one if not given.
    """
    account = unprivileged()
    folder = temporary_folder(f"standby-{name}", account.user if account else None)
    home = reachable(postgres_home(primary.version), folder)
    data = folder / "data"
    try:
        _copy(primary, home, data, slot)
        with (data / "postgresql.auto.conf").open("a") as settings:
            settings.write(
                f"port = {port or free_port()}\nunix_socket_directories = '{folder}'\nhot_standby_feedback = on\n"
                f"wal_receiver_status_interval = 1\nsynchronous_standby_names = ''\n"
                f"primary_conninfo = 'host={primary.host} port={primary.port} user=postgres password={primary.password}"
                f" application_name={name}'\n"
            )
        server = Server(
            f"standby-{name}",
            [home / "bin" / "postgres", "-D", data],
            log=folder / "standby.log",
            env=environment(home),
            cwd=folder,
            user=account.user if account else None,
            group=account.group if account else None,
        )
        with server, primary.connect() as connection:
            streams = "SELECT FROM pg_stat_replication WHERE application_name = %s AND state = 'streaming'"
            wait_for(lambda: connection.execute(streams, [name]).rowcount == 1, 30, "the standby to stream", server)
            yield server
    finally:
        remove_folder(folder)


def _copy(primary: Postgres, home: Path, data: Path, slot: str | None) -> None:
    account = unprivileged()
    options = ["--create-slot", f"--slot={slot}"] if slot else []
    subprocess.run(
        [
            str(home / "bin" / "pg_basebackup"), "-D", str(data), "--write-recovery-conf", "--checkpoint=fast",
            "-d", f"host={primary.host} port={primary.port} user=postgres", *options,
        ],
        env={**environment(home), "PGPASSWORD": primary.password},
        check=True,
        user=account.user if account else None,
        group=account.group if account else None,
        extra_groups=[] if account else None,
        capture_output=True,
    )  # fmt: skip
