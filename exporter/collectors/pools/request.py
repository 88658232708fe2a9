"""How the metrics endpoints are asked: headers, credentials and TLS, from files that are read for each request."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporter.config.pool import Pool
from exporter.errors import ExporterError
from exporter.logs.masking import register_secret

if TYPE_CHECKING:
    import requests

MAX_SECRET = 16 * 1024
"""Bytes of a file with a secret."""


class RequestError(ExporterError):
    """A file that the configuration names cannot be used; the message names the key and the remedy, no content."""


def prepare(session: requests.Session, pool: Pool) -> None:
    """Configure a session, with the files as they are now.

    Raises:
        RequestError: a file cannot be read or holds what no header can.
    """
    session.headers.update(_headers(pool))
    tls = pool.tls_config
    for key, file in (("ca_file", tls.ca_file), ("cert_file", tls.cert_file), ("key_file", tls.key_file)):
        if file:
            _read(f"tls_config.{key}", file)  # requests' own words for a missing file name no key
    if tls.insecure_skip_verify:
        import urllib3

        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # asked for, and once a second
    session.verify = not tls.insecure_skip_verify and (tls.ca_file or True)
    session.cert = (tls.cert_file, tls.key_file) if tls.cert_file and tls.key_file else None
    if tls.server_name:
        session.mount("https://", _adapter(tls.server_name))


def _adapter(server_name: str) -> Any:
    """Connects by the name of another server than the address has, and verifies that name."""
    from requests.adapters import HTTPAdapter

    class Named(HTTPAdapter):
        def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
            super().init_poolmanager(*arguments, server_hostname=server_name, assert_hostname=server_name, **options)

    return Named()


def _headers(pool: Pool) -> dict[str, str]:
    headers = {}
    for name, header in pool.http_headers.items():
        read = [_secret(f"http_headers.{name}.files", file) for file in header.files]
        headers[name] = ", ".join([*header.values, *read])
    authorization, basic = pool.authorization, pool.basic_auth
    if authorization.credentials_file:
        credentials = _secret("authorization.credentials_file", authorization.credentials_file)
        headers["Authorization"] = f"{authorization.type} {credentials}"
    elif basic.username and basic.password_file:
        password = _secret("basic_auth.password_file", basic.password_file, header=False)
        both = base64.b64encode(f"{basic.username}:{password}".encode()).decode()
        register_secret(both)
        headers["Authorization"] = f"Basic {both}"
    return headers


def _secret(key: str, file: str, *, header: bool = True) -> str:
    """The text of a file without the newline at its end, masked in every message from now on."""
    text = _read(key, file).rstrip("\r\n")
    register_secret(text)
    if not text:
        raise RequestError(f"river.pool.{key}: {file} is empty")
    if header and not (text.isascii() and text.isprintable()):
        raise RequestError(f"river.pool.{key}: {file} must hold one line of printable ASCII")
    return text


def _read(key: str, file: str) -> str:
    try:
        with Path(file).open("rb") as opened:
            return opened.read(MAX_SECRET).decode()
    except OSError as error:
        raise RequestError(f"river.pool.{key}: cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RequestError(f"river.pool.{key}: {file} is not UTF-8") from None
