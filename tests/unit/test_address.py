"""Addresses: what becomes of a URL that River can use, of files that change, and of what cannot be an address."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlencode

import pytest

from exporter.config import Endpoint, load, read
from exporter.errors import ConfigError
from exporter.postgres.address import Address, addresses

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
        "max_parallel_workers_per_gather": "0",
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
    with pytest.raises(ConfigError, match=r"database\.url: libpq has no parameter sslmod; did you mean sslmode\?"):
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
    _, river = both("postgres://u:p@h:1,h2:2/d?target_session_attrs=prefer-standby&pool_max_conns=3&sslmode=prefer")
    assert river.not_sent() == ("pool_max_conns",)
    found = river.parameters()
    assert (found["host"], found["port"]) == ("h,h2", "1,2")
    assert (found["target_session_attrs"], found["sslmode"]) == ("prefer-standby", "prefer")


RUN_TIME = {
    "TimeZone": "UTC", "DateStyle": "ISO", "role": "app owner", "work_mem": "64MB", "jit": "off", "myapp.x": "1",
    "search_path": "jobs",
}  # fmt: skip
DROPPED = {"transaction_timeout": "5s", "statement_timeout": "1h", "servicefile": "/x", "log_statement": "all"}


@pytest.mark.parametrize("form", ["url", "string"])
def test_run_time_settings_of_river_s_own_url_are_sent_for_sampling_alone(form: str) -> None:
    """Where they are harmless, and before ours; the probe sends none of them."""
    settings = {**RUN_TIME, **DROPPED}
    text = (
        f"postgres://u@db/app?{urlencode(settings)}"
        if form == "url"
        else " ".join(["host=db dbname=app user=u", *(f"{name}='{value}'" for name, value in settings.items())])
    )
    database, river = both(text)
    sent, _, ours = database.parameters()["options"].partition(" -c statement_timeout=3000")
    assert sent == " ".join(
        f"-c {name}={value}".replace("app owner", r"app\ owner") for name, value in RUN_TIME.items()
    )
    assert ours
    assert database.not_sent() == tuple(DROPPED)
    assert "options" not in river.parameters()
    assert river.not_sent() == tuple(settings)


def test_read_write_means_the_primary() -> None:
    """Our transactions are read-only by default, which libpq would take for a standby."""
    for wanted, meant in (("read-write", "primary"), ("read-only", "standby"), ("any", "any")):
        database, river = both(f"postgres://a,b/app?target_session_attrs={wanted}")
        assert database.parameters()["target_session_attrs"] == meant
        assert river.parameters()["target_session_attrs"] == wanted


@pytest.mark.parametrize("url", ["postgres://db/app\n", "  postgres://db/app\r\n", "host=db dbname=app\n"])
def test_line_ends_around_a_url_are_left_out(url: str) -> None:
    """As a Secret that was made with echo has them."""
    database, _, _ = addresses(load(None, {}), {"DATABASE_URL": url})
    assert (database.parameters()["host"], database.parameters()["dbname"]) == ("db", "app")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://u:secret@db/app", "mysql:// is not a scheme of PostgreSQL; write postgres://USER@HOST:5432/DATABASE"),
        ("postgresql+psycopg://u:secret@db/app", "postgresql+psycopg:// is not a scheme of PostgreSQL"),
        ("jdbc:postgresql://db/app?password=secret", "jdbc:postgresql:// is not a scheme of PostgreSQL"),
        ("postgres://u:secret@db/app?sslmode=bogus", "sslmode=bogus is not known; use one of disable, allow, prefer,"),
        ("host=db password=secret sslmode=on", "sslmode=on is not known; use one of disable"),
        ("postgres://u:secret@db:99999/app", "port '99999' is not a number from 1 to 65535"),
        ("postgres://u:secret@a:5432,b:0/app", "port '0' is not a number from 1 to 65535"),
        ("host=db port=x password=secret", "port 'x' is not a number"),
        ("postgres://u:secret/app", "port is not a number from 1 to 65535"),
        (
            "postgres://u:secret@fe80::1/app",
            "the IPv6 address fe80::1 has to stand in brackets, as in postgres://USER@[",
        ),
        ("postgres://u:secret@db/app?connect_timeout=5s", "connect_timeout=5s is not a whole number"),
        ("postgres://u:secret@db/app?target_session_attrs=master", "target_session_attrs=master is not known; use one"),
        ("postgres://u:secret@db/app?ssl_mode=require", "libpq has no parameter ssl_mode; did you mean sslmode?"),
    ],
)
def test_a_value_that_libpq_would_refuse_later_is_named_with_its_remedy(url: str, message: str) -> None:
    """Before anything connects, and without the password."""
    with pytest.raises(ConfigError) as caught:
        both(url)
    assert str(caught.value).startswith(f"database.url: {message}")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgres://u:p@[fe80::1]/app",
        "postgres://u:p@[::1]:5433/app",
        "postgres://u:p@a,b:6432/app?ssl=true",
        "host=::1",
    ],
)
def test_what_libpq_takes_is_not_refused(url: str) -> None:
    """An IPv6 address in brackets, several hosts, JDBC's ssl=true."""
    both(url)


def test_all_addresses_that_are_wrong_are_named_at_once() -> None:
    """Each with the place that gave it."""
    environment = {
        "RIVER_EXPORTER_RIVER_URL": "postgres://db:99999/app?sslmode=bogus",
        "RIVER_EXPORTER_PGBOUNCER_URL": "mysql://db/app",
    }
    loaded = read(None, environment)
    with pytest.raises(ConfigError) as caught:
        addresses(loaded.config, {"DATABASE_URL": "postgres://u@db:0/app"}, loaded.named)
    assert [problem.partition(" ")[0] for problem in caught.value.problems] == [
        "DATABASE_URL:", "RIVER_EXPORTER_RIVER_URL:", "RIVER_EXPORTER_RIVER_URL:", "RIVER_EXPORTER_PGBOUNCER_URL:",
    ]  # fmt: skip


def test_a_file_is_read_without_its_byte_order_mark_and_line_ends(tmp_path: Path) -> None:
    """As an editor on another system leaves them."""
    url, password = tmp_path / "url", tmp_path / "password"
    url.write_bytes(b"\xef\xbb\xbfpostgres://river@db/app\r\n")
    password.write_bytes(b"\xef\xbb\xbfp w \r\n\n")
    endpoint = Endpoint(url_file=str(url), password_file=str(password))
    found = Address("database", endpoint).parameters()
    assert (found["host"], found["password"]) == ("db", "p w ")


@pytest.mark.parametrize("key", ["url_file", "password_file"])
def test_a_file_that_cannot_be_meant_is_refused(tmp_path: Path, key: str) -> None:
    """Empty, too large, not regular: a FIFO is not waited for."""
    file = tmp_path / "file"

    def message() -> str:
        url = {} if key == "url_file" else {"url": "postgres://db/app"}
        with pytest.raises(ConfigError) as caught:
            Address("database", Endpoint(**{key: str(file)}, **url)).parameters()
        return str(caught.value)

    for content in (b"", b"\n", b"\xef\xbb\xbf\r\n"):
        file.write_bytes(content)
        assert message() == f"database.{key}: {file} is empty"
    file.write_bytes(b"x" * 100_000)
    assert message() == f"database.{key}: cannot read {file}: it is larger than 64 kB"
    file.write_bytes(b"\xff")
    assert message() == f"database.{key}: cannot read {file}: it is not UTF-8"
    file.unlink()
    os.mkfifo(file)
    assert message() == f"database.{key}: cannot read {file}: it is not a regular file"
    file.unlink()
    file.mkdir()
    assert message() == f"database.{key}: cannot read {file}: Is a directory"


@pytest.mark.parametrize(
    ("url", "environment", "remote"),
    [
        ("postgres://u:p@db/app", {}, "db, as sslmode is prefer"),
        ("postgres://u:p@db/app", {"PGSSLMODE": "disable"}, "db, as sslmode is disable"),
        ("postgres://u@db,localhost/app?sslmode=allow", {"PGPASSWORD": "p"}, "db, as sslmode is allow"),
        ("postgres://u:p@db/app?sslmode=require", {}, None),
        ("postgres://u:p@db/app", {"PGSSLMODE": "verify-full"}, None),
        ("postgres://u@db/app", {}, None),
        ("postgres://u:p@localhost/app", {}, None),
        ("postgres://u:p@127.0.0.1,[::1]/app?sslmode=disable", {}, None),
        ("postgres://u:p@/app?host=/run/postgresql", {}, None),
        ("dbname=app password=p", {}, None),
    ],
)
def test_a_password_that_travels_unencrypted_is_warned_of(
    url: str, environment: dict[str, str], remote: str | None
) -> None:
    """To another host only, and where TLS is not required."""
    warning = both(url)[0].unencrypted(environment)
    assert (warning is None) == (remote is None)
    if warning is not None:
        assert warning == (
            f"database.url: the password may travel unencrypted to {remote}; "
            "set sslmode=verify-full with sslrootcert, or at least sslmode=require"
        )
