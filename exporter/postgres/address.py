"""Where a server is and how to log in: libpq parameters from URLs and files, read anew at every connect."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, unquote

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from exporter.config import Config, Endpoint
from exporter.errors import ConfigError
from exporter.logs.masking import register_secret
from exporter.postgres.encoding import CLIENT_ENCODING

_PGX_ONLY = re.compile(
    r"pool_(max|min)_.*|pool_health_check_period|default_query_exec_mode|(statement|description)_cache_capacity"
    r"|min_read_buffer_size|search_path|timezone|(statement|lock|idle_in_transaction_session)_timeout"
)
"""Parameters of pgx, pgxpool and the server (pgx 5, `ParseConfig`) that River's own URL may carry and libpq refuses."""

_PAIR = re.compile(r"\s*(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)*)(?=\s|$)", re.DOTALL)
"""One parameter of a connection string (manual, "Keyword/Value Connection Strings")."""

_UNKNOWN = re.compile(r'invalid (?:URI query parameter|connection option):? "(\w+)"')

APPLICATION = "river-exporter"
"""Our sessions' application_name."""

_SCHEMES = ("postgres:", "postgresql:")
_HINT = "percent-encode special characters of user and password (@ is %40, : is %3A, / is %2F, % is %25)"


class Address:
    """One server's address.

    Args:
        key: the configuration section it comes from, for messages.
        endpoint: its `url`, `url_file` and `password_file`.
        url: what stands in for a URL the section does not give, such as `DATABASE_URL`.
        over: libpq parameters that win over what the URL says.
    """

    def __init__(
        self, key: str, endpoint: Endpoint, url: str | None = None, over: Mapping[str, str] | None = None
    ) -> None:
        self.key, self._endpoint, self._url, self._over = key, endpoint, url, dict(over or {})

    def parameters(self) -> dict[str, str]:
        """The libpq parameters now; a file that changed counts from the next connect on.

        Raises:
            ConfigError: a file cannot be read, or the URL is none. The message never holds the URL.
        """
        source, url = self._source()
        text, settings = without_pgx(url)
        try:
            found = {name: str(value) for name, value in conninfo_to_dict(text).items() if value is not None}
        except ProgrammingError as error:
            if (unknown := _UNKNOWN.search(str(error))) and "@" not in text.rpartition("?")[2]:
                raise ConfigError(f"{source}: libpq has no parameter {unknown[1]}; take it out") from None
            raise ConfigError(f"{source}: not a connection URL or libpq connection string; {_HINT}") from None
        if text.startswith(_SCHEMES):
            _refuse_mangled(source, found)
        if path := self._endpoint.password_file:
            found["password"] = self._read(path, f"{self.key}.password_file").rstrip("\r\n")
        if password := found.get("password"):
            register_secret(password)
        over = dict(self._over)
        if own := over.pop("options", None):
            path = f"-c search_path={_escape(settings['search_path'])}" if "search_path" in settings else ""
            found["options"] = " ".join(filter(None, (found.get("options"), path, own)))
        else:
            found.pop("options", None)
        return found | over

    def pool_max_connections(self) -> int | None:
        """The `pool_max_conns` of River's own URL, or None where it is not said."""
        _, settings = without_pgx(self._source()[1])
        value = settings.get("pool_max_conns", "")
        return int(value) if value.isdigit() else None

    def __str__(self) -> str:
        """`host:port/dbname` for messages: no user, no password."""
        try:
            found = self.parameters()
        except ConfigError:
            return self.key
        host = found.get("host") or found.get("hostaddr") or os.environ.get("PGHOST") or "local socket"
        port = found.get("port") or os.environ.get("PGPORT") or "5432"
        return f"{host}:{port}/{found.get('dbname') or os.environ.get('PGDATABASE') or ''}"

    def _source(self) -> tuple[str, str]:
        if path := self._endpoint.url_file:
            return f"{self.key}.url_file {path}", self._read(path, f"{self.key}.url_file").strip()
        return (f"{self.key}.url", self._endpoint.url) if self._endpoint.url else ("DATABASE_URL", self._url or "")

    def _read(self, path: str, key: str) -> str:
        try:
            return Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise ConfigError(f"{key}: cannot read {path}: {reason}") from None


MISSING = (
    "database.url: no address of the database; set it in the configuration file, or RIVER_EXPORTER_DATABASE_URL, "
    "DATABASE_URL or libpq's PGHOST and PGDATABASE"
)


def given(config: Config, environment: Mapping[str, str]) -> bool:
    """Whether there is an address of the database at all."""
    named = config.database.url or config.database.url_file or environment.get("DATABASE_URL")
    return bool(named) or any(environment.get(name) for name in ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE"))


def addresses(config: Config, environment: Mapping[str, str]) -> tuple[Address, Address, Address | None]:
    """The addresses of the database, of River's way to it, and of PgBouncer's console where one is configured.

    Raises:
        ConfigError: no address is given at all, or one is malformed or its file unreadable.
    """
    fallback = environment.get("DATABASE_URL")
    if not given(config, environment):
        raise ConfigError(MISSING)
    timeout = str(max(2, round(config.database.connect_timeout)))
    own = {"connect_timeout": timeout}
    common = {**own, "application_name": APPLICATION}
    # ours, whatever PGCLIENTENCODING or the URL says: what the server cannot convert is replaced where it is read
    encoding = {"client_encoding": CLIENT_ENCODING}
    database = Address("database", config.database, fallback, {**common, **encoding, "options": _settings(config)})
    own_river = config.river.url or config.river.url_file
    # through River's address nothing but SELECT 1 is sent: no options and no name of ours, which PgBouncer would refuse
    # or leave on its server connection
    river = Address("river", config.river, None, own) if own_river else None
    river = river or Address("database", config.database, fallback, common)
    own_pgbouncer = config.pgbouncer.url or config.pgbouncer.url_file
    pgbouncer = Address("pgbouncer", config.pgbouncer, None, {**common, **encoding}) if own_pgbouncer else None
    for address in (database, river, pgbouncer):
        if address:
            address.parameters()
    return database, river, pgbouncer


def _settings(config: Config) -> str:
    """Session settings, as startup options: they can never stay on a pooler's server connection.

    The keepalives are the server's: it gives up a session, and its advisory lock, of a pod that vanished within 5 s.
    """
    milliseconds = {
        "statement_timeout": config.database.statement_timeout,
        "lock_timeout": config.database.lock_timeout,
        "idle_in_transaction_session_timeout": config.database.statement_timeout,
    }
    settings = {name: str(round(seconds * 1000)) for name, seconds in milliseconds.items()} | {
        "default_transaction_read_only": "on",
        "tcp_keepalives_idle": "2",
        "tcp_keepalives_interval": "1",
        "tcp_keepalives_count": "2",
        "tcp_user_timeout": "5000",
    }
    return " ".join(f"-c {name}={value}" for name, value in settings.items())


def without_pgx(url: str) -> tuple[str, dict[str, str]]:
    """A URL or connection string without pgx's own parameters and run-time settings, and those as a dict."""
    if not url.startswith(_SCHEMES):
        pairs = list(_PAIR.finditer(url))
        if "".join(pair[0] for pair in pairs) != url.rstrip():
            return url, {}  # libpq says what is wrong with it
        taken = {pair[1]: re.sub(r"\\(.)", r"\1", pair[2].strip("'")) for pair in pairs if _PGX_ONLY.fullmatch(pair[1])}
        return "".join(pair[0] for pair in pairs if pair[1] not in taken).strip(), taken
    head, mark, query = url.rpartition("?")
    if not mark or "@" in query:
        return url, {}
    kept, taken = [], {}
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if _PGX_ONLY.fullmatch(name):
            taken[name] = unquote(value)
        else:
            kept.append(f"{name}={quote(unquote(value), safe='')}")  # libpq wants a = in a value encoded
    return f"{head}?{'&'.join(kept)}" if kept else head, taken


def _refuse_mangled(source: str, found: Mapping[str, str]) -> None:
    """A password with a bare @ or / parses, but into a wrong host: say so instead of looking the rest up in DNS."""
    if any(char in found.get(name, "") for name in ("host", "dbname") for char in "@ "):
        raise ConfigError(f"{source}: the URL's host or database has an @ or a blank in it; {_HINT}")


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace(" ", "\\ ")
