"""The web configuration file, in the format of Prometheus' exporter-toolkit (docs/web-configuration.md there).

The file, the certificate, its key and the clients' authority are read again when one of them changes. A change that is
wrong, or that would take away TLS or the passwords altogether (a file caught half-written, an unmounted secret), is
logged once and the old settings stay; taking protection away needs a restart.

What differs from exporter-toolkit: `/-/healthy` and `/-/ready` are served without password and client certificate, as a
kubelet's probes have none; HTTP/2, TLS before 1.2, unverified client certificates and `rate_limit` are not served.
"""

from __future__ import annotations

import difflib
import logging
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from exporter.config.yamlfile import YamlFile
from exporter.errors import ConfigError
from exporter.http.tls import Tls, TlsError, TlsSettings, server_tls

log = logging.getLogger(__name__)

_T = TypeVar("_T")

# The headers that may be set, and for some the values they may have.
HEADERS: dict[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
_HASH = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
# A check takes 2^cost steps: 18 is about fifteen seconds, longer than any scrape waits.
_MAX_COST = 18
_KEYS: dict[str, tuple[str, ...]] = {
    "": ("tls_server_config", "http_server_config", "basic_auth_users"),
    "tls_server_config": tuple(each.name for each in fields(TlsSettings)),
    "http_server_config": ("http2", "headers"),
    "http_server_config.headers": tuple(HEADERS),
}
# What failed is tried again, as its reason may lie outside the files: no free file descriptor, say.
_RETRY_SECONDS = 10.0
# How YAML writes nothing.
_NOTHING = ("", "~", "null")


@dataclass(frozen=True)
class WebConfig:
    """The contents of a web configuration file, checked and ready for use."""

    tls: Tls | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    http2: bool = False
    files: tuple[Path, ...] = ()


def load(path: Path) -> WebConfig:
    """Read and check a web configuration file and the files it names.

    Raises:
        ConfigError: something in it is unknown, unfit or unreadable; the message names file, line and key, no secret.
    """
    source = YamlFile.read(path, "web configuration file", texts=True)
    tree = source.tree
    if "rate_limit" in tree:
        raise ConfigError(
            f"{source.where('rate_limit')}rate_limit: not served, as unauthenticated clients could use up the "
            "scrapers' share; leave it out: a flood is bounded without it"
        )
    for section, known in _KEYS.items():
        _refuse_unknown(source, section, known)
    settings = _tls_settings(source)
    return WebConfig(
        tls=_tls(source, settings) if settings else None,
        headers=_headers(source),
        users=_users(source),
        http2=_http2(source),
        files=_files(settings) if settings else (),
    )


class WebConfigFile:
    """A web configuration file that is watched; `current()` is cheap enough to be asked for each request.

    Args:
        path: the file; None serves plain HTTP without credentials.

    Raises:
        ConfigError: as `load`, at the start only.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._error, self._retry_at = "", 0.0
        self._current = load(path) if path else WebConfig()
        self._seen = _signature(path, self._current.files)

    def current(self) -> WebConfig:
        """The settings in force, read again when a file changed."""
        current = self._current
        if self._path is None:
            return current
        seen = _signature(self._path, current.files)
        # While one thread reads, the others go on with what was.
        due = seen != self._seen or (self._error and time.monotonic() >= self._retry_at)
        if due and self._lock.acquire(blocking=False):
            try:
                self._reload(self._path, seen)
            finally:
                self._lock.release()
        return self._current

    def _reload(self, path: Path, seen: _Signature) -> None:
        # Remembered before the reading: a change during it is a change to the next request.
        self._seen = seen
        try:
            new = load(path)
            _keep_protection(path, self._current, new)
        except ConfigError as error:
            if str(error) != self._error:
                log.error("web configuration not reloaded, the old one stays", extra={"error": str(error)})
            self._error, self._retry_at = str(error), time.monotonic() + _RETRY_SECONDS
            return
        self._error = ""
        if new.files != self._current.files:
            self._seen = _signature(path, new.files)
        self._current = new
        fields = {"file": path, "tls": new.tls is not None, "users": len(new.users)}
        log.info("web configuration reloaded", extra=fields)


_Signature = tuple[tuple[int, int, int] | None, ...]


def _signature(path: Path | None, files: tuple[Path, ...]) -> _Signature:
    """What changes when a file changes, a symbolic link to it is switched, or it comes or goes."""
    found: list[tuple[int, int, int] | None] = []
    for each in (path, *files) if path else ():
        try:
            state = each.stat()
            found.append((state.st_mtime_ns, state.st_ino, state.st_size))
        except OSError:
            found.append(None)
    return tuple(found)


def _keep_protection(path: Path, old: WebConfig, new: WebConfig) -> None:
    lost = [
        name
        for name, before, after in (
            ("tls_server_config", old.tls is not None, new.tls is not None),
            ("client_auth_type", _requires_certificate(old), _requires_certificate(new)),
            ("basic_auth_users", bool(old.users), bool(new.users)),
        )
        if before and not after
    ]
    if lost:
        raise ConfigError(f"{path}: {lost[0]} no longer protects the server; restart to serve without it")


def _requires_certificate(config: WebConfig) -> bool:
    return config.tls is not None and config.tls.client_certificate_required


def _section(source: YamlFile, name: str) -> dict[str, Any]:
    """A mapping of the file without what is left empty; a section that isn't there has nothing."""
    value: Any = source.tree
    for part in filter(None, name.split(".")):
        value = value.get(part, "")
        if value in _NOTHING:
            return {}
        if not isinstance(value, dict):
            raise ConfigError(f"{source.where(name)}{name}: must be a mapping of keys")
    return {key: each for key, each in value.items() if each not in _NOTHING}


def _refuse_unknown(source: YamlFile, section: str, known: tuple[str, ...]) -> None:
    for key in _section(source, section):
        if key not in known:
            dotted = f"{section}.{key}".lstrip(".")
            close = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
            hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
            raise ConfigError(f"{source.where(dotted)}{dotted}: no such key; {hint}")


def _convert(source: YamlFile, section: str, values: Any, kind: type[_T]) -> _T:
    """The values at a key as `kind`; paths are relative to the file."""
    try:
        return msgspec.convert(values, kind, strict=False, dec_hook=lambda _, path: source.path.parent / path)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$")
        dotted = f"{section}{place.rstrip('`').partition('[')[0]}"
        raise ConfigError(f"{source.where(dotted)}{dotted}: {message[:1].lower()}{message[1:]}") from None


def _tls_settings(source: YamlFile) -> TlsSettings | None:
    values = _section(source, "tls_server_config")
    return _convert(source, "tls_server_config", values, TlsSettings) if values else None


def _files(settings: TlsSettings) -> tuple[Path, ...]:
    return tuple(path for path in (settings.cert_file, settings.key_file, settings.client_ca_file) if path)


def _tls(source: YamlFile, settings: TlsSettings) -> Tls:
    try:
        return server_tls(settings)
    except TlsError as error:
        key = f"tls_server_config.{error.key}"
        raise ConfigError(f"{source.where(key)}{key}: {error}") from None


def _http2(source: YamlFile) -> bool:
    return _convert(
        source, "http_server_config.http2", _section(source, "http_server_config").get("http2", False), bool
    )


def _headers(source: YamlFile) -> dict[str, str]:
    section = "http_server_config.headers"
    headers = _convert(source, section, _section(source, section), dict[str, str])
    for name, value in headers.items():
        allowed, where = HEADERS[name], f"{source.where(f'{section}.{name}')}{section}.{name}"
        if allowed and value not in allowed:
            raise ConfigError(f"{where}: {value!r} is not among its values: {', '.join(allowed)}")
        if not value.isprintable() or not value.isascii():
            raise ConfigError(f"{where}: a header holds printable ASCII only")
    return headers


def _users(source: YamlFile) -> dict[str, bytes]:
    users = _convert(source, "basic_auth_users", _section(source, "basic_auth_users"), dict[str, str])
    for name, hashed in users.items():
        where = f"{source.where(f'basic_auth_users.{name}')}basic_auth_users.{name}"
        if ":" in name:
            raise ConfigError(f"{where}: a user name can't hold a colon, basic authentication ends it there")
        match = _HASH.fullmatch(hashed)
        if not match:
            raise ConfigError(f"{where}: not a bcrypt hash; make one with htpasswd -nBC 12 {name!r}")
        if not 4 <= int(match[1]) <= _MAX_COST:
            raise ConfigError(
                f"{where}: the hash's cost {int(match[1])} is not between 4 and {_MAX_COST}; make one of 12"
            )
    return {name: hashed.encode() for name, hashed in users.items()}
