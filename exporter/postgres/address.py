"""Where a server is and how to log in: libpq parameters from URLs and files, read again at every connect."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from urllib.parse import quote, unquote, unquote_plus

from psycopg import ProgrammingError, pq
from psycopg.conninfo import conninfo_to_dict

from exporter.config import Config, Endpoint
from exporter.config.smallfile import read_text
from exporter.errors import ConfigError
from exporter.logs.masking import register_secret
from exporter.postgres.encoding import CLIENT_ENCODING

_LIBPQ = frozenset(option.keyword.decode() for option in pq.Conninfo.get_defaults())
"""Parameters of libpq; pgx takes every other one as its own, or sends it to the server as a run-time setting."""

_SENT = re.compile(r"role|search_path|timezone|datestyle|intervalstyle|work_mem|jit|\w+\.\w+", re.IGNORECASE)
"""Run-time settings that a URL may also set for our own sessions: they change no limit of ours and need no rights."""

_SETTING = re.compile(r"[A-Za-z_][\w.]*")

_PAIR = re.compile(r"\s*([\w.]+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)*)(?=\s|$)", re.DOTALL)
"""One parameter of a connection string (manual, "Keyword/Value Connection Strings")."""

_SCHEME = re.compile(r"([A-Za-z][\w+.:-]*?)://")

_VALUES: Mapping[str, tuple[str, ...]] = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": ("postgres", "direct"),
    "channel_binding": ("disable", "prefer", "require"),
    "gssencmode": ("disable", "prefer", "require"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    "load_balance_hosts": ("disable", "random"),
}
"""Values that libpq accepts; it refuses others at the first connect only (manual, "Parameter Key Words")."""

_NUMBERS = ("connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count")

_OUR_SESSION = {"read-write": "primary", "read-only": "standby"}
"""libpq asks whether transactions are read-only, which ours always are (`default_transaction_read_only`)."""

APPLICATION = "river-exporter"
"""Our sessions' application_name."""

_SCHEMES = ("postgres:", "postgresql:")
_HINT = "percent-encode special characters of user and password (@ is %40, : is %3A, / is %2F, % is %25)"
_FORM = "postgres://USER@HOST:5432/DATABASE"


class Address:
    """One server's address.

    Args:
        key: the configuration section it comes from, for messages.
        endpoint: its `url`, `url_file` and `password_file`.
        url: what stands in for a URL the section does not give, such as `DATABASE_URL`.
        over: libpq parameters that win over the URL's.
        named: a configuration key as a message names it.
    """

    def __init__(
        self,
        key: str,
        endpoint: Endpoint,
        url: str | None = None,
        over: Mapping[str, str] | None = None,
        named: Callable[[str], str] = str,
    ) -> None:
        self.key, self._endpoint, self._url, self._over = key, endpoint, url, dict(over or {})
        self._named = named

    def parameters(self) -> dict[str, str]:
        """The libpq parameters now; a file that changed counts from the next connect on.

        Raises:
            ConfigError: a file cannot be read, the URL is none, or a value is one that libpq refuses. The message
                never holds the URL or a password.
        """
        source, url = self._source()
        found, settings = _parsed(source, url)
        if path := self._endpoint.password_file:
            found["password"] = read_text(path, self._named(f"{self.key}.password_file"))
        if password := found.get("password"):
            register_secret(password)
        over = dict(self._over)
        if own := over.pop("options", None):
            sent = [f"-c {name}={_escape(value)}" for name, value in settings.items() if _SENT.fullmatch(name)]
            found["options"] = " ".join(filter(None, (found.get("options"), *sent, own)))
            if (wanted := found.get("target_session_attrs")) in _OUR_SESSION:
                found["target_session_attrs"] = _OUR_SESSION[wanted]
        else:
            found.pop("options", None)
        return found | over

    def not_sent(self) -> tuple[str, ...]:
        """Names of the URL's parameters that are neither libpq's nor sent to the server by our sessions."""
        sent = "options" in self._over
        return tuple(name for name in _split(self._source()[1])[1] if not (sent and _SENT.fullmatch(name)))

    def pool_max_connections(self) -> int | None:
        """The `pool_max_conns` of River's own URL, or None where it is not set."""
        value = _split(self._source()[1])[1].get("pool_max_conns", "")
        return int(value) if value.isdigit() else None

    def unencrypted(self, environment: Mapping[str, str]) -> str | None:
        """A warning where the password may travel to another host without encryption, else None."""
        found = self.parameters()
        mode = found.get("sslmode") or environment.get("PGSSLMODE") or "prefer"
        if mode not in ("disable", "allow", "prefer") or not (found.get("password") or environment.get("PGPASSWORD")):
            return None
        hosts = found.get("host") or found.get("hostaddr") or environment.get("PGHOST") or ""
        remote = [host for host in hosts.split(",") if not _local(host)]
        if not remote:
            return None
        return (
            f"{self._source()[0]}: the password may travel unencrypted to {', '.join(remote)}, as sslmode is {mode}; "
            "set sslmode=verify-full with sslrootcert, or at least sslmode=require"
        )

    @property
    def source(self) -> str:
        """What gave the address: a configuration key, with its file where it is one, or `DATABASE_URL`."""
        return self._source()[0]

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
            key = self._named(f"{self.key}.url_file")
            return f"{key} {path}", read_text(path, key).strip()
        if self._endpoint.url:
            return self._named(f"{self.key}.url"), self._endpoint.url.strip()
        return "DATABASE_URL" if self._url else "libpq's variables", (self._url or "").strip()


MISSING = (
    "database.url: no address of the database; set it in the configuration file, or RIVER_EXPORTER_DATABASE_URL, "
    "DATABASE_URL or libpq's PGHOST and PGDATABASE"
)


def given(config: Config, environment: Mapping[str, str]) -> bool:
    """Whether there is an address of the database at all."""
    named = config.database.url or config.database.url_file or environment.get("DATABASE_URL")
    return bool(named) or any(environment.get(name) for name in ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE"))


def addresses(
    config: Config, environment: Mapping[str, str], named: Callable[[str], str] = str
) -> tuple[Address, Address, Address | None]:
    """The addresses of the database, of River's way to it, and of PgBouncer's console where one is configured.

    Args:
        named: a configuration key as a message names it.

    Raises:
        ConfigError: no address is given at all, or one is malformed or its file unreadable; of all that are wrong.
    """
    fallback = environment.get("DATABASE_URL")
    if not given(config, environment):
        raise ConfigError(MISSING)
    timeout = str(max(2, round(config.database.connect_timeout)))
    own = {"connect_timeout": timeout}
    common = {**own, "application_name": APPLICATION}
    # ours, whatever PGCLIENTENCODING or the URL has: what the server cannot convert is replaced where it is read
    encoding = {"client_encoding": CLIENT_ENCODING}
    database = Address(
        "database", config.database, fallback, {**common, **encoding, "options": _settings(config)}, named
    )
    own_river = config.river.url or config.river.url_file
    # to River's connection endpoint nothing but SELECT 1 is sent: no options and no name of ours, which PgBouncer would
    # refuse or leave on its server connection
    river = Address("river", config.river, None, own, named) if own_river else None
    river = river or Address("database", config.database, fallback, common, named)
    own_pgbouncer = config.pgbouncer.url or config.pgbouncer.url_file
    pgbouncer = Address("pgbouncer", config.pgbouncer, None, {**common, **encoding}, named) if own_pgbouncer else None
    problems: list[str] = []
    for address in (database, river, pgbouncer):
        try:
            if address:
                address.parameters()
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(*dict.fromkeys(problems))
    return database, river, pgbouncer


def unencrypted(found: Iterable[Address | None], environment: Mapping[str, str]) -> tuple[str, ...]:
    """Warnings of passwords that may travel to another host without encryption, each once."""
    warnings = (address.unencrypted(environment) for address in found if address)
    return tuple(dict.fromkeys(warning for warning in warnings if warning))


def _settings(config: Config) -> str:
    """Session settings, as startup options: they can never stay on a pooler's server connection.

    The keepalives are the server's: it ends a session, and its advisory lock, of a pod that vanished within 5 s.
    """
    milliseconds = {
        "statement_timeout": config.database.statement_timeout,
        "lock_timeout": config.database.lock_timeout,
        "idle_in_transaction_session_timeout": config.database.statement_timeout,
    }
    settings = {name: str(round(seconds * 1000)) for name, seconds in milliseconds.items()} | {
        "default_transaction_read_only": "on",
        "max_parallel_workers_per_gather": "0",  # the workers are the application's
        "tcp_keepalives_idle": "2",
        "tcp_keepalives_interval": "1",
        "tcp_keepalives_count": "2",
        "tcp_user_timeout": "5000",
    }
    return " ".join(f"-c {name}={value}" for name, value in settings.items())


def _parsed(source: str, url: str) -> tuple[dict[str, str], dict[str, str]]:
    """The libpq parameters of a URL or connection string, and what else it sets.

    Raises:
        ConfigError: it is none, or a value cannot be meant.
    """
    if (scheme := _SCHEME.match(url)) and f"{scheme[1]}:" not in _SCHEMES:
        raise ConfigError(f"{source}: {scheme[1]}:// is not a scheme of PostgreSQL; write {_FORM}")
    text, settings = _split(url)
    try:
        found = {name: str(value) for name, value in conninfo_to_dict(text).items() if value is not None}
    except ProgrammingError:
        raise ConfigError(f"{source}: not a connection URL or libpq connection string; {_HINT}") from None
    is_url = text.startswith(_SCHEMES)
    if is_url:
        _refuse_mangled(source, found)
    for name in settings:
        if not name.startswith("tcp_") and (meant := get_close_matches(name.lower(), _LIBPQ, n=1, cutoff=0.82)):
            raise ConfigError(f"{source}: libpq has no parameter {name}; did you mean {meant[0]}?")
    # without an @ in a URL, what looks like a port may be a password
    if problems := list(_wrong_values(source, found, shown=not is_url or "@" in text)):
        raise ConfigError(*problems)
    return found, settings


def _split(url: str) -> tuple[str, dict[str, str]]:
    """A URL or connection string with libpq's parameters alone, and all others: pgx's own and run-time settings."""
    if not url.startswith(_SCHEMES):
        pairs = list(_PAIR.finditer(url))
        if "".join(pair[0] for pair in pairs) != url.rstrip():
            return url, {}  # libpq reports what is wrong with it
        others = {pair[1]: re.sub(r"\\(.)", r"\1", pair[2].strip("'")) for pair in pairs if _foreign(pair[1])}
        return "".join(pair[0] for pair in pairs if pair[1] not in others).strip(), others
    head, mark, query = url.rpartition("?")
    if not mark or "@" in query:
        return url, {}
    kept, others = [], {}
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if _foreign(name):
            others[name] = unquote_plus(value)  # as Go reads a query
        else:
            kept.append(f"{name}={quote(unquote(value), safe='')}")  # libpq wants a = in a value encoded
    return f"{head}?{'&'.join(kept)}" if kept else head, others


def _foreign(name: str) -> bool:
    return bool(_SETTING.fullmatch(name)) and name not in _LIBPQ and name != "ssl"  # ssl=true is JDBC's: libpq takes it


def _refuse_mangled(source: str, found: Mapping[str, str]) -> None:
    """A password with a bare @ or / parses, but into a wrong host: say so instead of looking the rest up in DNS."""
    if any(char in found.get(name, "") for name in ("host", "dbname") for char in "@ "):
        raise ConfigError(f"{source}: the URL's host or database has an @ or a blank in it; {_HINT}")


def _wrong_values(source: str, found: Mapping[str, str], *, shown: bool) -> Iterator[str]:
    """Values that libpq would refuse at the first connect only; `shown` is whether a port may be quoted."""
    for port in filter(None, found.get("port", "").split(",")):
        if ":" in port:
            host = f"{found.get('host', '')}:{port} " if shown else ""
            yield f"{source}: the IPv6 address {host}has to stand in brackets, as in postgres://USER@[fe80::1]:5432/APP"
        elif not (port.isascii() and port.isdigit() and 1 <= int(port[:9]) <= 65535):
            yield f"{source}: port{f' {port!r}' if shown else ''} is not a number from 1 to 65535"
    for name, allowed in _VALUES.items():
        if (value := found.get(name)) and value not in allowed:
            yield f"{source}: {name}={value} is not known; use one of {', '.join(allowed)}"
    for name in _NUMBERS:
        if (value := found.get(name, "").strip()) and not re.fullmatch(r"[+-]?\d{1,9}", value):
            yield f"{source}: {name}={value} is not a whole number"


def _local(host: str) -> bool:
    """Whether a host is this machine: a socket, or loopback."""
    return not host or host.startswith(("/", "@", "127.")) or host in ("localhost", "::1")


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace(" ", "\\ ")
