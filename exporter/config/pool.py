"""`river.pool`: which pool of `river.metrics_urls` is River's, and how these are asked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from msgspec import field

from exporter.config.section import Section
from exporter.logs.masking import MASK

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""What HTTP calls a token: the name of a header or of an authentication scheme (RFC 9110)."""

_OWN_HEADERS = {
    "accept", "accept-encoding", "authorization", "connection", "content-encoding", "content-length", "host",
    "keep-alive", "proxy-authenticate", "proxy-authorization", "transfer-encoding", "upgrade", "www-authenticate",
}  # fmt: skip
"""Headers that other keys or HTTP itself decide."""


class Authorization(Section, frozen=True):
    """The Authorization header of a request; credentials come from a file, read again for each."""

    type: str = "Bearer"
    credentials_file: str | None = None


class BasicAuth(Section, frozen=True):
    """A user and a password; the password comes from a file, read again for each request."""

    username: str | None = None
    password_file: str | None = None


class TlsConfig(Section, frozen=True):
    """How a server is verified, and the client's certificate."""

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    server_name: str | None = None
    insecure_skip_verify: bool = False


class HttpHeader(Section, frozen=True):
    """The values of one header, as they are or from files."""

    values: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


class Pool(Section, frozen=True):
    """Which pool of `metrics_urls` is River's, and how they are asked: the blocks of Prometheus' scrape_config."""

    labels: dict[str, str] = field(default_factory=dict)
    authorization: Authorization = Authorization()
    basic_auth: BasicAuth = BasicAuth()
    tls_config: TlsConfig = TlsConfig()
    http_headers: dict[str, HttpHeader] = field(default_factory=dict)


def problems(pool: Pool, urls: Iterable[str]) -> Iterator[tuple[str, str]]:
    """What is wrong with keys together: the key below `river.pool`, the reason and the remedy.

    Args:
        urls: of the endpoints that it is for.
    """
    yield from _credentials(pool, urls)
    tls = pool.tls_config
    yield from _together("tls_config.cert_file", tls.cert_file, "tls_config.key_file", tls.key_file)
    if tls.insecure_skip_verify and (tls.ca_file or tls.server_name):
        yield "tls_config.insecure_skip_verify", "verifies nothing; take it or ca_file and server_name out"
    for name, header in pool.http_headers.items():
        if not _TOKEN.fullmatch(name) or name.lower() in _OWN_HEADERS:
            yield "http_headers", f"{name!r} is no header that can be set here; see config/exporter.yaml"
        elif not header.values and not header.files:
            yield f"http_headers.{name}", "has no value; set values or files"
        elif not all(value.isascii() and value.isprintable() for value in header.values):
            yield f"http_headers.{name}.values", "a header holds printable ASCII only"


def _credentials(pool: Pool, urls: Iterable[str]) -> Iterator[tuple[str, str]]:
    scheme, token, basic = pool.authorization.type, pool.authorization.credentials_file, pool.basic_auth
    if not _TOKEN.fullmatch(scheme):
        yield "authorization.type", f"{MASK} is no authentication scheme, such as Bearer; credentials are in a file"
    elif scheme.lower() == "basic":
        yield "authorization.type", "Basic takes a user and a password; set river.pool.basic_auth"
    yield from _together("basic_auth.username", basic.username, "basic_auth.password_file", basic.password_file)
    if token and basic.username:
        yield "authorization.credentials_file", "river.pool.basic_auth is set too; keep one"
    in_urls = any("@" in url.partition("://")[2].partition("/")[0] for url in urls)
    if in_urls and (token or basic.username):
        key = "authorization.credentials_file" if token else "basic_auth"
        yield key, "an address of river.metrics_urls has a user and a password too; keep one"


def _together(one: str, first: str | None, other: str, second: str | None) -> Iterator[tuple[str, str]]:
    if bool(first) != bool(second):
        there, missing = (one, other) if first else (other, one)
        yield there, f"needs river.pool.{missing}; set both"
