"""Addresses: what becomes of a URL that River can use, of files that change, and of what cannot be an address."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from exporter.config import load
from exporter.errors import ConfigError
from exporter.postgres.address import Address, addresses, without_pgx

PASSWORD = "p@ss:w/o%rd"


def both(url: str, **environment: str) -> tuple[Address, Address]:
    """Return the addresses of the database and of River's way to it, of a URL given to both."""
    database, river, _ = addresses(load(None, {"RIVER_EXPORTER_DATABASE_URL": url, **environment}), {})
    return database, river


def shown(url: str) -> dict[str, str]:
    """Return the parameters of the database's address but for those the exporter always adds."""
    found = both(url)[0].parameters()
    return {
        name: found[name]
        for name in found
        if name not in {"connect_timeout", "application_name", "client_encoding", "options"}
    }


@pytest.mark.parametrize(
    ("url", "password"),
    [
        ("postgres://river:p%40ss%3Aw%2Fo%25rd@db:6432/app", PASSWORD),
        ("postgresql://river:p%40ss%3Aw%2Fo%25rd@db:6432/app", PASSWORD),
        ("postgres://db:6432/app?user=river&password=p%40ss%3Aw%2Fo%25rd", PASSWORD),
        ("postgres://river:a+b?c#d:e@db:6432/app", "a+b?c#d:e"),
        ("host=db port=6432 dbname=app user=river password=p@ss:w/o%rd", PASSWORD),
        (r"host=db port=6432 dbname=app user=river password='a \'b\\ c=d'", r"a 'b\ c=d"),
    ],
)
def test_a_url_and_a_connection_string_say_the_same(url: str, password: str) -> None:
    """Whatever the password is made of."""
    assert shown(url) == {"host": "db", "port": "6432", "dbname": "app", "user": "river", "password": password}


@pytest.mark.parametrize(
    "url",
    [
        "postgres://river@db/app?pool_max_conns=12&sslmode=require&default_query_exec_mode=exec&search_path=jobs%2C%20public",
        "host=db user=river dbname=app pool_max_conns = 12 sslmode=require search_path='jobs, public' lock_timeout=1s",
    ],
)
def test_what_only_pgx_understands_is_taken_out_of_river_s_own_url(url: str) -> None:
    """The search path is kept, as River's tables are found by it; the size of the pool is known."""
    database, river = both(url)
    assert shown(url) == {"host": "db", "dbname": "app", "user": "river", "sslmode": "require"}
    assert database.parameters()["options"].startswith(r"-c search_path=jobs,\ public -c statement_timeout=3000 ")
    assert database.pool_max_connections() == 12
    assert "options" not in river.parameters()


def test_options_of_the_url_are_kept_before_our_own() -> None:
    """Whether its `=` is encoded, as libpq wants it, or not, as pgx takes it too."""
    for options in ("-c%20work_mem%3D1MB", "-c%20work_mem=1MB"):
        database, river = both(f"postgres://db/app?options={options}")
        assert database.parameters()["options"].startswith("-c work_mem=1MB -c statement_timeout=3000 ")
        assert "options" not in river.parameters()


def test_sessions_on_the_database_are_read_only_and_bounded_by_the_server() -> None:
    """Statement, lock and idle time-outs, and keepalives that free the advisory lock of a pod that vanished."""
    database, _ = both("postgres://db/app", RIVER_EXPORTER_DATABASE_LOCK_TIMEOUT="150ms")
    found = database.parameters()
    settings = dict(part.split("=") for part in found["options"].split("-c ")[1:])
    assert {name: value.strip() for name, value in settings.items()} == {
        "statement_timeout": "3000",
        "lock_timeout": "150",
        "idle_in_transaction_session_timeout": "3000",
        "default_transaction_read_only": "on",
        "tcp_keepalives_idle": "2",
        "tcp_keepalives_interval": "1",
        "tcp_keepalives_count": "2",
        "tcp_user_timeout": "5000",
    }
    assert (found["application_name"], found["connect_timeout"]) == ("river-exporter", "5")


@pytest.mark.parametrize(
    "url",
    [
        f"postgres://river:{PASSWORD}@db/app",
        "postgres://river:pa/ss@db/app",
        "postgres://river:pa@ss@db/app",
        "postgres://river:50%off@db/app",
        "postgres://river:pa ss@db:port/a b",
        "postgres://river:secret?x=pa@d@b/app",
        "mysql",
        "postgres://db/app?=x",
    ],
)
def test_a_url_that_cannot_be_meant_is_refused_with_the_remedy_and_without_the_url(url: str) -> None:
    """A bare @ or / in a password would look its rest up in DNS, or log in elsewhere."""
    with pytest.raises(ConfigError) as caught:
        both(url)
    message = str(caught.value)
    assert message.startswith("database.url: ")
    assert "percent-encode special characters of user and password (@ is %40" in message
    for part in (PASSWORD, "ss@", "50%", "ss:w", "secret", "pa "):
        assert part not in message


@pytest.mark.parametrize("url", ["postgres://river:secret@db/app?sslmod=require", "host=db sslmod=require"])
def test_a_parameter_that_libpq_does_not_know_is_named(url: str) -> None:
    """A misspelt sslmode must not be dropped in silence."""
    with pytest.raises(ConfigError, match=r"database\.url: libpq has no parameter sslmod; take it out"):
        both(url)


def test_files_are_read_anew_at_every_connect(tmp_path: Path) -> None:
    """A rotated password counts from the next connect on; the newline an editor leaves does not."""
    url, password = tmp_path / "url", tmp_path / "password"
    url.write_text("postgres://river@db/app\n")
    password.write_text(f"{PASSWORD}\n")
    environment = {"RIVER_EXPORTER_DATABASE_URL_FILE": str(url), "RIVER_EXPORTER_DATABASE_PASSWORD_FILE": str(password)}
    database, _, _ = addresses(load(None, environment), {})
    assert database.parameters()["password"] == PASSWORD
    url.write_text("postgres://other@db2/app")
    password.write_text("changed")
    found = database.parameters()
    assert (found["user"], found["host"], found["password"]) == ("other", "db2", "changed")
    assert str(database) == "db2:5432/app"
    password.unlink()
    with pytest.raises(ConfigError, match=f"database.password_file: cannot read {password}: No such file or directory"):
        database.parameters()
    assert str(database) == "database"


def test_the_address_comes_from_the_first_place_that_has_one(tmp_path: Path) -> None:
    """RIVER_EXPORTER_DATABASE_URL, configuration file, DATABASE_URL, libpq's variables, in this order."""
    file = tmp_path / "exporter.yaml"
    file.write_text("database: {url: 'postgres://file/a'}")
    environment = {
        "RIVER_EXPORTER_DATABASE_URL": "postgres://own/a",
        "DATABASE_URL": "postgres://general/a",
        "PGHOST": "libpq",
    }

    def host(path: Path | None) -> str | None:
        return addresses(load(path, environment), environment)[0].parameters().get("host")

    assert host(file) == "own"
    del environment["RIVER_EXPORTER_DATABASE_URL"]
    assert host(file) == "file"
    assert host(None) == "general"
    del environment["DATABASE_URL"]
    assert host(None) is None  # libpq fills it in
    del environment["PGHOST"]
    with pytest.raises(ConfigError, match=r"database\.url: no address of the database; set it in the configuration"):
        host(None)


def test_each_address_is_checked_before_anything_starts(tmp_path: Path) -> None:
    """A broken address of River's or PgBouncer's is refused like the database's, by its own key."""
    missing = tmp_path / "missing"
    for name, value, message in (
        ("RIVER_URL", "postgres://u:50%off@h/d", r"river\.url: not a connection URL"),
        ("PGBOUNCER_URL", "x", r"pgbouncer\.url: not a connection URL"),
        ("DATABASE_URL_FILE", str(missing), f"database.url_file: cannot read {missing}: No such file"),
    ):
        environment = {"DATABASE_URL": "postgres://h/d", f"RIVER_EXPORTER_{name}": value}
        with pytest.raises(ConfigError, match=message):
            addresses(load(None, environment), environment)


def test_river_s_address_stands_for_itself_and_defaults_to_the_database_s() -> None:
    """Its own password file too."""
    database, river = both("postgres://db/app")
    assert (str(database), str(river)) == ("db:5432/app", "db:5432/app")
    database, river = both("postgres://db/app", RIVER_EXPORTER_RIVER_URL="postgres://pooler:6432/app")
    assert (str(database), str(river)) == ("db:5432/app", "pooler:6432/app")


def test_libpq_takes_what_is_left_of_a_url() -> None:
    """Every parameter that is not taken out is one that libpq knows."""
    text, taken = without_pgx(
        "postgres://u:p@h:1,h2:2/d?target_session_attrs=read-write&pool_max_conns=3&sslmode=prefer"
    )
    assert taken == {"pool_max_conns": "3"}
    assert psycopg.conninfo.conninfo_to_dict(text)["target_session_attrs"] == "read-write"
