"""How River's metrics endpoints are asked: credentials, headers and TLS, and no secret in what is reported."""

from __future__ import annotations

import base64
import http.server
import ssl
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from exporter.collectors.pools.page import Page, PageError
from exporter.config import load
from exporter.config.pool import Authorization, BasicAuth, HttpHeader, Pool, TlsConfig
from exporter.errors import ConfigError
from tests.pages import Serve, answer

SECRET = "s3cret-p@ss w/o%rd"


def fetch(url: str, pool: Pool) -> str:
    """Ask once."""
    page = Page(url, 5.0, pool=pool)
    page.start()
    return page.finish(time.monotonic() + 5)


def refused(url: str, pool: Pool) -> str:
    """Why nothing was read."""
    with pytest.raises(PageError) as caught:
        fetch(url, pool)
    assert SECRET not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Return a file with the secret, as a mounted one has it."""
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    return file


def test_credentials_are_sent_as_the_file_has_them_now(serve: Serve, secret: Path) -> None:
    """A bearer token that is rotated is read again, without a restart."""
    server = serve(answer(b"x"))
    pool = Pool(authorization=Authorization(credentials_file=str(secret)))
    fetch(server.url, pool)
    secret.write_text("rotated")
    fetch(server.url, pool)
    assert f"\r\nauthorization: bearer {SECRET}\r\n" in server.requests[0].decode().lower()
    assert "\r\nauthorization: bearer rotated\r\n" in server.requests[1].decode().lower()


def test_a_user_and_a_password_are_sent(serve: Serve, secret: Path) -> None:
    """As UTF-8, and a password may hold what a header may not."""
    server = serve(answer(b"x"))
    secret.write_text(f"{SECRET}ä")
    fetch(server.url, Pool(basic_auth=BasicAuth(username="river", password_file=str(secret))))
    both = base64.b64encode(f"river:{SECRET}ä".encode()).decode()
    assert f"Authorization: Basic {both}" in server.requests[0].decode()


def test_headers_are_sent(serve: Serve, secret: Path) -> None:
    """With values of the configuration and of files."""
    server = serve(answer(b"x"))
    headers = {"X-Scope-OrgID": HttpHeader(values=("shop", "web")), "X-Api-Key": HttpHeader(files=(str(secret),))}
    fetch(server.url, Pool(http_headers=headers))
    sent = server.requests[0].decode()
    assert "X-Scope-OrgID: shop, web\r\n" in sent
    assert f"X-Api-Key: {SECRET}\r\n" in sent


def test_no_credentials_follow_a_redirect(serve: Serve, secret: Path) -> None:
    """Wherever it leads: it is refused, and the other server is not asked at all."""
    other = serve(answer(b"x"))
    server = serve(answer(b"", "307 Temporary Redirect", Location=other.url))
    assert "HTTP status 307" in refused(server.url, Pool(authorization=Authorization(credentials_file=str(secret))))
    assert other.requests == []


def test_a_server_that_sends_the_credentials_back_does_not_get_them_logged(serve: Serve, secret: Path) -> None:
    """They are masked wherever they stand, also in an error of the library's."""
    server = serve(lambda client: client.sendall(f"HTTP/1.1 {SECRET}\r\n\r\n".encode()))
    refused(server.url, Pool(authorization=Authorization(credentials_file=str(secret))))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot read {file}: No such file or directory"),
        (b"", "{file} is empty"),
        (b"two\nlines", "{file} must hold one line of printable ASCII"),
        (b"\xff\xfe", "{file} is not UTF-8"),
    ],
)
def test_a_file_that_is_no_secret_is_named(serve: Serve, tmp_path: Path, content: bytes | None, reason: str) -> None:
    """With its key and path, not its content; nothing is sent."""
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    server = serve(answer(b"x"))
    found = refused(server.url, Pool(authorization=Authorization(credentials_file=str(file))))
    assert found == f"{server.url}: river.pool.authorization.credentials_file: {reason.format(file=file)}"
    assert server.requests == []


class Tls:
    """An HTTPS server with a certificate of its own authority, which asks for one of that authority's clients."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca, self.cert, self.key = folder / "ca", folder / "cert", folder / "key"
        authority.cert_pem.write_to_path(self.ca)
        client = authority.issue_cert("exporter@example.com")
        client.private_key_pem.write_to_path(self.key)
        client.cert_chain_pems[0].write_to_path(self.cert)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("river.shop.svc").configure_cert(context)
        authority.configure_trust(context)
        self.context = context

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"pgxpool_max_conns 10\n")

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.url = f"https://127.0.0.1:{self._server.server_port}/metrics"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[Tls]:
    """Yield an HTTPS server."""
    server = Tls(tmp_path)
    yield server
    server.close()


def test_a_server_is_verified_by_its_authority_and_name(tls: Tls) -> None:
    """By the configured one alone; the name may be another than the address."""
    named = TlsConfig(ca_file=str(tls.ca), server_name="river.shop.svc")
    assert "pgxpool_max_conns" in fetch(tls.url, Pool(tls_config=named))
    for wrong in (TlsConfig(), TlsConfig(ca_file=str(tls.ca)), TlsConfig(ca_file=str(tls.ca), server_name="other")):
        assert "see river.pool.tls_config" in refused(tls.url, Pool(tls_config=wrong))


def test_a_client_shows_its_certificate(tls: Tls) -> None:
    """Where the server wants one."""
    tls.context.verify_mode = ssl.CERT_REQUIRED
    named = TlsConfig(ca_file=str(tls.ca), server_name="river.shop.svc")
    refused(tls.url, Pool(tls_config=named))
    shown = TlsConfig(ca_file=str(tls.ca), server_name="river.shop.svc", cert_file=str(tls.cert), key_file=str(tls.key))
    assert "pgxpool_max_conns" in fetch(tls.url, Pool(tls_config=shown))


def test_nothing_is_verified_only_when_asked(tls: Tls) -> None:
    """And then without a warning a second."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "pgxpool_max_conns" in fetch(tls.url, Pool(tls_config=TlsConfig(insecure_skip_verify=True)))


def test_a_missing_authority_is_named(tls: Tls) -> None:
    """By its key."""
    found = refused(tls.url, Pool(tls_config=TlsConfig(ca_file="/nowhere")))
    assert found == f"{tls.url}: river.pool.tls_config.ca_file: cannot read /nowhere: No such file or directory"


@pytest.mark.parametrize(
    ("pool", "message"),
    [
        ("authorization: {type: Basic}", "authorization.type: Basic takes a user and a password; set river.pool.bas"),
        ("authorization: {type: 'Bearer hunter2'}", "authorization.type: ****** is no authentication scheme"),
        ("authorization: {credentials: hunter2}", "authorization.credentials: no such key; did you mean river.pool."),
        ("authorization: hunter2", "authorization: ******; expected a mapping of keys"),
        ("basic_auth: {password: hunter2}", "basic_auth.password: no such key; did you mean"),
        ("basic_auth: {username: u}", "basic_auth.username: needs river.pool.basic_auth.password_file; set both"),
        (
            "{authorization: {credentials_file: /a}, basic_auth: {username: u, password_file: /b}}",
            "authorization.credentials_file: river.pool.basic_auth is set too; keep one",
        ),
        ("tls_config: {key_file: /k}", "tls_config.key_file: needs river.pool.tls_config.cert_file; set both"),
        (
            "tls_config: {insecure_skip_verify: true, ca_file: /c}",
            "tls_config.insecure_skip_verify: verifies nothing; take it or ca_file and server_name out",
        ),
        ("http_headers: {Authorization: {values: [hunter2]}}", "http_headers: 'Authorization' is no header that can"),
        ("http_headers: {'X Y': {values: [a]}}", "http_headers: 'X Y' is no header that can be set here"),
        ("http_headers: {X-Key: {}}", "http_headers.X-Key: has no value; set values or files"),
        ('http_headers: {X-Key: {values: ["hunter2\\r\\nX: y"]}}', "http_headers.X-Key.values: a header holds print"),
        ("http_headers: {X-Key: hunter2}", "http_headers[...]: ******; expected a mapping of keys"),
        ("labels: [app]", "labels: ['app']; expected a mapping of keys"),
        ("labels: {db_name: 5}", "labels[...]: {'db_name': 5}; expected text"),
    ],
)
def test_a_wrong_setting_is_named_with_its_remedy(tmp_path: Path, pool: str, message: str) -> None:
    """And never with a secret that stands in the wrong place."""
    file = tmp_path / "config.yaml"
    whole = pool if pool.startswith("{") else f"{{{pool}}}"
    file.write_text(f"river:\n  pool: {whole}\n")
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert f": river.pool.{message}" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_credentials_of_the_address_and_others_exclude_each_other() -> None:
    """The library would send the address's."""
    with pytest.raises(ConfigError, match="has a user and a password too; keep one"):
        load(
            None,
            {
                "RIVER_EXPORTER_RIVER_METRICS_URLS": "http://u:p@h/metrics",
                "RIVER_EXPORTER_RIVER_POOL_AUTHORIZATION_CREDENTIALS_FILE": "/token",
            },
        )


def test_a_variable_gives_a_mapping_as_yaml() -> None:
    """Of labels and of headers; what is none is refused by the variable's name."""
    config = load(
        None,
        {
            "RIVER_EXPORTER_RIVER_POOL_LABELS": "{db_name: app, pool: main}",
            "RIVER_EXPORTER_RIVER_POOL_HTTP_HEADERS": "{X-Scope-OrgID: {values: [shop]}}",
        },
    )
    assert config.river.pool.labels == {"db_name": "app", "pool": "main"}
    assert config.river.pool.http_headers == {"X-Scope-OrgID": HttpHeader(values=("shop",))}
    for wrong in ("{db_name", "db_name=app"):
        with pytest.raises(ConfigError, match=r"^RIVER_EXPORTER_RIVER_POOL_LABELS: "):
            load(None, {"RIVER_EXPORTER_RIVER_POOL_LABELS": wrong})
