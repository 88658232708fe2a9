"""The HTTP server over real sockets: what it answers, whom it lets in, and what cannot stop it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.client
import logging
import os
import re
import resource
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import bcrypt
import pytest
import trustme
from prometheus_client import CollectorRegistry, Gauge

from exporter.errors import ConfigError
from exporter.http import handler, server
from exporter.http.routes import Routes
from exporter.http.server import Server, parse
from tests.testbed.process import wait_for

PASSWORD = "p@s:s/w%rd é"


def _registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    gauge = Gauge("river_jobs", "Jobs", ["queue"], registry=registry)
    for number in range(100):
        gauge.labels(f"queue{number}").set(number)
    return registry


ROUTES = Routes(
    metrics=_registry(),
    telemetry_path="/metrics",
    healthy=lambda: (True, "everything makes progress"),
    ready=lambda: (False, "no contact with the database: refused by db.internal"),
    reload=None,
    status_page=lambda: "<h1>River</h1>",
    status_data=lambda: b"{}",
)

Start = Callable[..., Server]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start servers on a free port that are stopped at the end; the arguments replace fields of the routes."""
    with ExitStack() as stack:

        def started(web_config: Path | None = None, address: str = "127.0.0.1:0", **fields: object) -> Server:
            made = Server(address, replace(ROUTES, **fields), web_config)  # type: ignore[arg-type]
            stack.callback(made.stop, 5)
            made.start()
            return made

        yield started


class _Answer:
    """A response that was read whole."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = response.status, response.headers, response.read()


def _connect(running: Server, tls: ssl.SSLContext | None = None) -> http.client.HTTPConnection:
    host, _, port = running.address.rpartition(":")
    host = host.strip("[]")
    if tls is None:
        return http.client.HTTPConnection(host, int(port), timeout=20)
    return http.client.HTTPSConnection(host, int(port), timeout=20, context=tls)


def _ask(
    running: Server,
    path: str,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
    tls: ssl.SSLContext | None = None,
) -> _Answer:
    with closing(_connect(running, tls)) as client:
        client.request(method, path, body, headers or {})
        return _Answer(client.getresponse())


def _socket(running: Server) -> socket.socket:
    host, _, port = running.address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=20)


def _raw(running: Server, request: bytes) -> bytes:
    """What the server says to these bytes until it closes."""
    with _socket(running) as sock:
        sock.sendall(request)
        said = b""
        while part := sock.recv(65536):
            said += part
        return said


def _certificate(client: http.client.HTTPConnection) -> object:
    """The server's certificate on this connection."""
    assert isinstance(client.sock, ssl.SSLSocket)
    return client.sock.getpeercert()


def _basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@contextmanager
def _no_free_descriptor() -> Iterator[None]:
    """Take all file descriptors that this process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.dup(0)]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (taken[0] + 100, hard))
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for each in taken:
            os.close(each)


class TestPages:
    """What is served without a web configuration file."""

    def test_metrics_come_in_the_format_and_encoding_asked_for(self, start: Start) -> None:
        """Text unless OpenMetrics is accepted, compressed when gzip is."""
        running = start()
        plain = _ask(running, "/metrics?x=1")
        assert plain.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert b'river_jobs{queue="queue7"} 7.0\n' in plain.body
        accept = {"Accept": "application/openmetrics-text;version=1.0.0", "Accept-Encoding": "gzip"}
        packed = _ask(running, "/metrics", headers=accept)
        assert packed.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
        assert packed.headers["Content-Encoding"] == "gzip"
        assert packed.headers["Vary"] == "Accept, Accept-Encoding"
        assert gzip.decompress(packed.body).endswith(b"# EOF\n")

    @pytest.mark.parametrize(
        ("path", "status", "body"),
        [
            ("/", 200, b"<h1>River</h1>"),
            ("/status.json", 200, b"{}"),
            ("/-/healthy", 200, b"everything makes progress\n"),
            ("/-/ready", 503, b"no contact with the database: refused by db.internal\n"),
            ("/favicon.ico", 404, b"nothing is served here; metrics are at /metrics\n"),
        ],
    )
    def test_each_path_has_its_page(self, start: Start, path: str, status: int, body: bytes) -> None:
        """Pages, health with its reason, and a hint where there is nothing; HEAD has the same without a body."""
        running = start()
        answer = _ask(running, path)
        assert (answer.status, answer.body) == (status, body)
        head = _ask(running, path, "HEAD")
        assert (head.status, head.body) == (status, b"")
        assert head.headers["Content-Length"] == str(len(body))

    def test_metrics_may_be_elsewhere_and_data_absent(self, start: Start) -> None:
        """`telemetry_path` moves them, `/` included."""
        assert _ask(start(telemetry_path="/"), "/").body.startswith(b"# HELP")
        assert _ask(start(status_data=None), "/status.json").status == 404

    @pytest.mark.parametrize(
        ("method", "path", "allow"),
        [
            ("POST", "/metrics", "GET, HEAD"),
            ("OPTIONS", "/", "GET, HEAD"),
            ("GET", "/-/reload", "POST, PUT"),
            ("HEAD", "/-/reload", "POST, PUT"),
        ],
    )
    def test_other_methods_are_refused_with_those_that_work(
        self, start: Start, method: str, path: str, allow: str
    ) -> None:
        """405 with Allow."""
        called: list[None] = []
        answer = _ask(start(reload=lambda: called.append(None)), path, method)
        assert (answer.status, answer.headers["Allow"]) == (405, allow)
        assert not called

    def test_reload_is_off_unless_enabled(self, start: Start) -> None:
        """403 that names the key."""
        answer = _ask(start(), "/-/reload", "POST")
        assert answer.status == 403
        assert b"enable web.enable_reload" in answer.body

    def test_reload_calls_the_application_and_tells_its_error(self, start: Start) -> None:
        """The error without its password; a body that was sent is not waited for."""
        called: list[None] = []

        def reload() -> None:
            called.append(None)
            if len(called) == 2:
                raise ConfigError("postgres://river:secret@db: no")

        running = start(reload=reload)
        assert _ask(running, "/-/reload", "POST", body=b"x" * 1_000_000).body == b"reloaded\n"
        failed = _ask(running, "/-/reload", "PUT")
        assert failed.status == 500
        assert failed.body == b"not reloaded: postgres://river:******@db: no\n"

    def test_a_page_that_fails_is_an_answer_and_one_line(self, start: Start, caplog: pytest.LogCaptureFixture) -> None:
        """No traceback to the client; the server goes on."""
        running = start(status_page=lambda: 1 / 0)
        answer = _ask(running, "/")
        assert (answer.status, answer.body) == (500, b"this page failed; the log has the reason\n")
        assert [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR] == ["cannot make a page"]
        assert _ask(running, "/-/healthy").status == 200

    def test_every_answer_has_security_headers_and_no_version(self, start: Start) -> None:
        """Also those that refuse; the status page may run its own scripts and styles only."""
        script, style = "let x = 1;", "p { margin: 0 }"
        running = start(status_scripts=(script,), status_styles=(style,))
        for path in ("/", "/metrics", "/nothing"):
            headers = _ask(running, path).headers
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Cache-Control"] == "no-store"
            assert "default-src 'none'" in headers["Content-Security-Policy"]
            assert headers["Server"] is None
        policy = _ask(running, "/").headers["Content-Security-Policy"]
        for kind, text in (("script", script), ("style", style)):
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"{kind}-src 'sha256-{digest}';" in policy
            assert f"{kind}-src 'none';" in _ask(start(), "/").headers["Content-Security-Policy"]
        assert "unsafe" not in policy

    def test_access_is_logged_at_debug_only(self, start: Start, caplog: pytest.LogCaptureFixture) -> None:
        """A scrape each second must not fill the log."""
        running = start()
        with caplog.at_level(logging.INFO):
            _ask(running, "/metrics")
        assert not [each for each in caplog.records if each.name == "exporter.http.handler"]
        with caplog.at_level(logging.DEBUG):
            _ask(running, "/metrics")
            wait_for(lambda: [each for each in caplog.records if each.getMessage() == "request"], 10, "a line")


class TestConnections:
    """What clients may do to a connection."""

    def test_a_connection_is_used_again(self, start: Start) -> None:
        """Prometheus keeps its connections; pipelined requests are answered in order."""
        running = start()
        with closing(_connect(running)) as client:
            client.connect()
            first = client.sock
            for _ in range(3):
                client.request("GET", "/metrics")
                assert client.getresponse().read()
                assert client.sock is first
        request = b"GET /status.json HTTP/1.1\r\nHost: x\r\n%s\r\n"
        assert _raw(running, request % b"" + request % b"Connection: close\r\n").count(b"200 OK") == 2

    def test_a_client_of_http_1_0_is_answered_and_closed(self, start: Start) -> None:
        """Unless it asks for more."""
        running = start()
        assert b"Connection: close" in _raw(running, b"GET / HTTP/1.0\r\n\r\n")
        kept = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n"
        assert _raw(running, kept).count(b"200 OK") == 2

    @pytest.mark.parametrize("framing", [b"Content-Length: 30", b"Transfer-Encoding: chunked"])
    def test_a_body_cannot_smuggle_a_request(self, start: Start, framing: bytes) -> None:
        """What follows a request with a body is never taken for another one."""
        said = _raw(start(), b"GET / HTTP/1.1\r\n" + framing + b"\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n")
        assert said.count(b"HTTP/1.1 ") == 1
        assert b"Connection: close" in said

    @pytest.mark.parametrize(
        ("request_", "status"),
        [
            (b"nonsense\r\n\r\n", 400),
            (b"GET /metrics\r\n\r\n", 400),
            (b"GET /metrics HTTP/2.0\r\n\r\n", 400),
            (b"get /metrics HTTP/1.1\r\n\r\n", 400),
            (b"GET /\x00 HTTP/1.1\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
            (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", 414),
            (b"GET / HTTP/1.1\r\nX: " + b"a" * 20000 + b"\r\n\r\n", 431),
            (b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 101 + b"\r\n", 431),
            (
                b"GET / HTTP/1.1\r\n" + b"X: " + b"a" * 200 + b"\r\n" + (b"Y: " + b"b" * 200 + b"\r\n") * 90 + b"\r\n",
                431,
            ),
            (b"\x16\x03\x01\x00\x05hello\r\n", 400),
        ],
    )
    def test_what_is_malformed_or_too_large_is_refused_and_closed(
        self, start: Start, request_: bytes, status: int
    ) -> None:
        """With a status and a line of text, also when the client has sent more than was read."""
        said = _raw(start(), request_)
        assert said.startswith(f"HTTP/1.1 {status} ".encode())
        assert b"Connection: close" in said

    def test_a_client_that_stalls_is_cut_off(self, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
        """The deadline is one for the whole request: a byte now and then does not move it."""
        monkeypatch.setattr(handler, "REQUEST_SECONDS", 0.3)
        running = start()
        with _socket(running) as silent, _socket(running) as dripping:
            began = time.monotonic()
            ended = None
            while time.monotonic() - began < 10:
                try:
                    dripping.sendall(b"G")
                except OSError:
                    ended = time.monotonic() - began
                    break
                time.sleep(0.02)
            assert ended is not None
            assert ended < 5
            assert silent.recv(1) == b""

    def test_a_client_that_does_not_read_is_cut_off(self, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its thread ends at the deadline for sending."""
        monkeypatch.setattr(handler, "REQUEST_SECONDS", 0.3)
        running = start(status_data=lambda: b"x" * 50_000_000)
        with _socket(running) as sock:
            sock.sendall(b"GET /status.json HTTP/1.1\r\n\r\n")
            wait_for(lambda: running._threads == 1, 10, "the request to be taken")
            wait_for(lambda: running._threads == 0, 10, "the connection to be cut off")

    def test_an_idle_connection_is_closed(self, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
        """After IDLE_SECONDS without another request."""
        monkeypatch.setattr(handler, "IDLE_SECONDS", 0.2)
        running = start()
        with closing(_connect(running)) as client:
            client.request("GET", "/")
            client.getresponse().read()
            assert client.sock.recv(1) == b""

    def test_hundreds_of_stalled_clients_neither_pile_up_nor_stop_a_scrape(self, start: Start) -> None:
        """The one that has waited longest gives way; a fresh client is answered at once."""
        running = start()
        with ExitStack() as stack:
            for number in range(300):
                sock = stack.enter_context(_socket(running))
                sock.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
                if number % 50 == 49:
                    began = time.monotonic()
                    assert _ask(running, "/metrics").status == 200
                    assert time.monotonic() - began < 2
            assert len(running._open) <= server.MAX_CONNECTIONS
            wait_for(lambda: running._threads <= server.MAX_CONNECTIONS, 10, "closed connections to end")

    def test_a_request_that_is_being_answered_does_not_give_way(self, start: Start) -> None:
        """Only clients that are waited for do."""
        entered, release = threading.Event(), threading.Event()

        def page() -> str:
            entered.set()
            release.wait(30)
            return "done"

        running = start(status_page=page)
        with closing(_connect(running)) as client, ExitStack() as stack:
            client.request("GET", "/")
            assert entered.wait(20)
            for _ in range(100):
                stack.enter_context(_socket(running))
            assert _ask(running, "/metrics").status == 200
            release.set()
            assert client.getresponse().read() == b"done"

    def test_when_all_are_being_answered_a_further_client_is_turned_away(
        self, start: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its connection is closed at once, and there is room again when one is done."""
        monkeypatch.setattr(server, "MAX_CONNECTIONS", 2)
        busy, release = threading.Semaphore(0), threading.Event()

        def page() -> str:
            busy.release()
            release.wait(30)
            return "done"

        running = start(status_page=page)
        with closing(_connect(running)) as one, closing(_connect(running)) as two:
            for client in (one, two):
                client.request("GET", "/")
                assert busy.acquire(timeout=20)
            with _socket(running) as third:
                assert third.recv(1) == b""
            release.set()
            assert one.getresponse().read() == two.getresponse().read() == b"done"
        wait_for(lambda: running._threads == 0, 10, "both to end")
        assert _ask(running, "/metrics").status == 200

    def test_without_free_file_descriptors_it_waits_and_says_so_once(
        self, start: Start, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The client that is waiting is answered when there are some again."""
        running = start()
        host, _, port = running.address.rpartition(":")
        with closing(socket.socket()) as client:
            client.settimeout(20)
            with _no_free_descriptor():
                client.connect((host, int(port)))
                left_out = running._failures._keys
                wait_for(lambda: left_out.get("cannot accept a connection", (0, 0))[1] > 2, 10, "more failures")
            client.sendall(b"GET /-/healthy HTTP/1.0\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200 OK")
        assert caplog.messages.count("cannot accept a connection") == 1

    def test_without_a_thread_the_client_is_turned_away(
        self, start: Start, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And the server goes on."""

        class NoThread(threading.Thread):
            """A thread that the system does not give."""

            def start(self) -> None:
                """Fail as Python does."""
                raise RuntimeError("can't start new thread")

        running = start()
        with monkeypatch.context() as patched:
            patched.setattr(threading, "Thread", NoThread)
            with _socket(running) as client:
                assert client.recv(1) == b""
        wait_for(lambda: "cannot start a thread for a connection" in caplog.messages, 10, "the warning")
        assert _ask(running, "/metrics").status == 200


class TestStopping:
    """The end is in order, and in time."""

    def test_a_request_that_is_being_answered_is_finished(self, start: Start) -> None:
        """While idle connections are closed and new ones refused."""
        entered, release = threading.Event(), threading.Event()

        def page() -> str:
            entered.set()
            release.wait(30)
            return "done"

        running = start(status_page=page)
        with closing(_connect(running)) as client, closing(_connect(running)) as idle:
            idle.request("GET", "/-/healthy")
            idle.getresponse().read()
            client.request("GET", "/")
            assert entered.wait(20)
            stopping = threading.Thread(target=running.stop, args=(20,))
            stopping.start()
            assert idle.sock.recv(1) == b""
            with pytest.raises(OSError):  # noqa: PT011 - refused or reset, as the kernel likes
                _ask(running, "/")
            release.set()
            response = client.getresponse()
            assert response.headers["Connection"] == "close"
            assert response.read() == b"done"
            stopping.join(20)
        assert running._threads == 0

    def test_a_request_that_hangs_does_not_hold_it_up(self, start: Start) -> None:
        """Past the timeout its connection is ended."""
        entered, release = threading.Event(), threading.Event()

        def page() -> str:
            entered.set()
            release.wait(30)
            return "late"

        running = start(status_page=page)
        with closing(_connect(running)) as client:
            client.request("GET", "/")
            assert entered.wait(20)
            began = time.monotonic()
            running.stop(0.2)
            assert time.monotonic() - began < 5
            with pytest.raises((OSError, http.client.HTTPException)):
                client.getresponse()
        release.set()

    def test_it_can_be_stopped_before_it_was_started_and_twice(self) -> None:
        """A start that failed elsewhere cleans up alike."""
        made = Server("127.0.0.1:0", ROUTES, None)
        made.stop(1)
        made.stop(1)

    def test_no_socket_stays_open(self, start: Start) -> None:
        """The port is free again for the next start."""
        running = start()
        address = running.address
        running.stop(5)
        assert start(address=address).address == address


class TestAddress:
    """What may be listened on."""

    @pytest.mark.parametrize(
        ("address", "parsed"),
        [
            (":10917", ("", 10917)),
            ("127.0.0.1:0", ("127.0.0.1", 0)),
            ("[::1]:10917", ("::1", 10917)),
            ("localhost:1", ("localhost", 1)),
        ],
    )
    def test_the_forms_of_prometheus_exporters_are_understood(self, address: str, parsed: tuple[str, int]) -> None:
        """Host may be empty, a name, IPv4 or IPv6 in brackets."""
        assert parse(address) == parsed

    @pytest.mark.parametrize(
        ("address", "message"),
        [
            ("10917", "web.listen_address: '10917' is no address to listen on, like :10917 or [::1]:10917"),
            ("::1:10917", "write [::1]:PORT"),
            ("localhost:http", "'localhost:http' is no address"),
            (":99999", "':99999': the port is above 65535"),
            ("", "'' is no address"),
        ],
    )
    def test_anything_else_is_refused_with_an_example(self, address: str, message: str) -> None:
        """Before anything is started."""
        with pytest.raises(ConfigError, match=re.escape(message)):
            Server(address, ROUTES, None)

    @pytest.mark.parametrize(
        ("address", "message"),
        [
            ("192.0.2.1:0", "cannot listen on 192.0.2.1:0: that is no address of this machine; use :PORT"),
            ("no-such-host.invalid:1", "cannot listen on no-such-host.invalid:1: the name does not resolve; use :PORT"),
        ],
    )
    def test_an_address_that_cannot_be_had_says_why(self, address: str, message: str) -> None:
        """At the start, with the remedy."""
        with closing(_Stopped(address)) as made, pytest.raises(ConfigError, match=re.escape(message)):
            made.server.start()

    def test_a_port_in_use_is_named(self, start: Start) -> None:
        """With what to do."""
        address = start().address
        message = f"web.listen_address: cannot listen on {address}: the port is in use; stop what listens there or"
        with closing(_Stopped(address)) as made, pytest.raises(ConfigError, match=re.escape(message)):
            made.server.start()

    def test_all_interfaces_are_both_families(self, start: Start) -> None:
        """`:0` answers over IPv4, and over IPv6 where the machine has it."""
        running = start(address=":0")
        port = int(running.address.rpartition(":")[2])
        hosts = ["127.0.0.1", "::1"] if running.address.startswith("[::]") else ["127.0.0.1"]
        for host in hosts:
            with closing(http.client.HTTPConnection(host, port, timeout=20)) as client:
                client.request("GET", "/-/healthy")
                assert client.getresponse().status == 200


class _Stopped:
    """A server that is stopped when it is closed."""

    def __init__(self, address: str) -> None:
        self.server = Server(address, ROUTES, None)

    def close(self) -> None:
        """Stop it."""
        self.server.stop(1)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority of our own."""
    return trustme.CA()


class _Secured:
    """A folder with a web configuration file, a server certificate and a client's, and contexts that use them."""

    def __init__(self, folder: Path, authority: trustme.CA) -> None:
        self.folder, self.authority = folder, authority
        self.file = folder / "web.yaml"
        authority.cert_pem.write_to_path(folder / "ca.crt")
        self.renew()

    def renew(self, key: trustme.KeyType = trustme.KeyType.ECDSA) -> None:
        """Replace the server's certificate and key."""
        pair = self.authority.issue_cert("127.0.0.1", key_type=key)
        pair.private_key_pem.write_to_path(self.folder / "server.key")
        (self.folder / "server.crt").write_bytes(b"".join(each.bytes() for each in pair.cert_chain_pems))

    def write(self, *, tls: str | None = "", users: dict[str, str] | None = None) -> Path:
        """Write the configuration: more lines of tls_server_config, or None for no TLS, and users' passwords."""
        lines = []
        if tls is not None:
            lines += ["tls_server_config:", "  cert_file: server.crt", "  key_file: server.key"]
            lines += [f"  {line}" for line in tls.splitlines()]
        if users:
            hashes = {user: bcrypt.hashpw(word.encode(), bcrypt.gensalt(4)).decode() for user, word in users.items()}
            lines += ["basic_auth_users:", *(f"  {user}: {hashed}" for user, hashed in hashes.items())]
        self.file.write_text("\n".join(lines))
        return self.file

    def client(self, *identities: str) -> ssl.SSLContext:
        """A client that trusts the server, with a certificate for the identities when there are any."""
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        if identities:
            self.authority.issue_cert(*identities).configure_cert(context)
        return context


def _s_client(running: Server, *arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
    """What `openssl s_client` shows of a connection over which it gets these commands."""
    return subprocess.run(
        ["openssl", "s_client", "-connect", running.address, *arguments],
        input=said,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


@pytest.fixture
def secured(tmp_path: Path, authority: trustme.CA) -> _Secured:
    """The pieces of a secured server."""
    return _Secured(tmp_path, authority)


class TestProtection:
    """TLS, users and client certificates."""

    def test_a_user_with_the_right_password_enters(self, start: Start, secured: _Secured) -> None:
        """Others are told to authenticate, whatever they ask for and however they try."""
        running = start(secured.write(tls=None, users={"alice": PASSWORD}))
        assert _ask(running, "/metrics", headers=_basic("alice", PASSWORD)).status == 200
        wrong = [
            _basic("alice", "x"),
            _basic("bob", PASSWORD),
            {},
            {"Authorization": "Basic !"},
            {"Authorization": "x"},
        ]
        for headers in wrong:
            for path in ("/metrics", "/", "/status.json", "/nothing"):
                answer = _ask(running, path, headers=headers)
                assert answer.status == 401
                assert answer.headers["WWW-Authenticate"].startswith("Basic ")
        assert _ask(running, "/-/reload", "POST").status == 401

    def test_no_password_reaches_the_log(
        self, start: Start, secured: _Secured, caplog: pytest.LogCaptureFixture
    ) -> None:
        """At debug as well, right or wrong."""
        with caplog.at_level(logging.DEBUG):
            running = start(secured.write(tls=None, users={"alice": PASSWORD}))
            for password in (PASSWORD, f"{PASSWORD}x"):
                _ask(running, "/metrics", headers=_basic("alice", password))
        said = "".join(str(vars(each)) for each in caplog.records)
        assert PASSWORD not in said
        assert _basic("alice", PASSWORD)["Authorization"][6:30] not in said

    def test_a_probe_needs_no_credentials_and_learns_no_details(self, start: Start, secured: _Secured) -> None:
        """Over TLS, with users and required client certificates: a kubelet's probe has none of them."""
        tls = "client_auth_type: RequireAndVerifyClientCert\nclient_ca_file: ca.crt"
        running = start(secured.write(tls=tls, users={"alice": PASSWORD}))
        unverified = ssl.create_default_context()
        unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
        healthy = _ask(running, "/-/healthy", tls=unverified)
        assert (healthy.status, healthy.body) == (200, b"OK\n")
        ready = _ask(running, "/-/ready", tls=unverified)
        assert (ready.status, ready.body) == (503, b"no contact with the database\n")
        assert _ask(running, "/metrics", tls=unverified, headers=_basic("alice", PASSWORD)).status == 403

    def test_a_required_client_certificate_must_be_ours_and_allowed(self, start: Start, secured: _Secured) -> None:
        """Of the authority, and with one of the allowed names."""
        tls = (
            "client_auth_type: RequireAndVerifyClientCert\nclient_ca_file: ca.crt\n"
            "client_allowed_sans: [prometheus.example, ops@example.org, 10.0.0.7]"
        )
        running = start(secured.write(tls=tls))
        for identity in ("prometheus.example", "ops@example.org", "10.0.0.7"):
            assert _ask(running, "/metrics", tls=secured.client("other.example", identity)).status == 200
        for context in (secured.client("other.example"), secured.client()):
            assert _ask(running, "/metrics", tls=context).status == 403
        foreign = secured.client()
        trustme.CA().issue_cert("prometheus.example").configure_cert(foreign)
        with pytest.raises(OSError):  # noqa: PT011 - the alert, or the reset that follows it
            _ask(running, "/metrics", tls=foreign)

    def test_old_tls_is_refused(self, start: Start, secured: _Secured) -> None:
        """And a version above the configured lowest is taken."""
        running = start(secured.write(tls="min_version: TLS13"))
        context = secured.client()
        assert _ask(running, "/metrics", tls=context).status == 200
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(OSError):  # noqa: PT011 - the alert, or the reset that follows it
            _ask(running, "/metrics", tls=context)

    @pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
    def test_openssl_gets_no_old_version(self, start: Start, secured: _Secured, version: str) -> None:
        """The server answers with an alert, whatever suites are offered."""
        ended = _s_client(start(secured.write()), version, "-cipher", "ALL:@SECLEVEL=0")
        assert "alert protocol version" in ended.stderr
        assert "Cipher is (NONE)" in ended.stdout

    @pytest.mark.parametrize("key", [trustme.KeyType.ECDSA, trustme.KeyType.RSA])
    def test_openssl_gets_no_weak_suite(self, start: Start, secured: _Secured, key: trustme.KeyType) -> None:
        """Of all it knows only six, with forward secrecy and authenticated encryption; those of TLS 1.3 are good."""
        secured.renew(key)
        running = start(secured.write())
        every, good = "ALL:COMPLEMENTOFALL", "!ECDHE+AESGCM:!ECDHE+CHACHA20"
        taken = _s_client(running, "-tls1_2", "-cipher", f"{every}:@SECLEVEL=0")
        assert re.search(r"Cipher is ECDHE-\S+-(GCM|CHACHA20)", taken.stdout), taken.stderr
        refused = _s_client(running, "-tls1_2", "-cipher", f"{every}:{good}:@SECLEVEL=0")
        assert "alert handshake failure" in refused.stderr
        assert "Cipher is (NONE)" in refused.stdout

    def test_renegotiation_is_refused(self, start: Start, secured: _Secured) -> None:
        """A client could make the server repeat the costly half of a handshake over one connection."""
        running = start(secured.write())
        ended = _s_client(running, "-tls1_2", said="R\n")
        assert "RENEGOTIATING" in ended.stderr
        assert "no renegotiation" in ended.stderr
        assert _ask(running, "/metrics", tls=secured.client()).status == 200

    def test_plain_http_on_the_tls_port_is_told_so(self, start: Start, secured: _Secured) -> None:
        """Instead of a connection that just ends."""
        assert b"this port serves HTTPS only" in _raw(start(secured.write()), b"GET / HTTP/1.1\r\n\r\n")

    def test_a_handshake_that_stalls_stops_nobody(
        self, start: Start, secured: _Secured, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is done in the connection's own thread and ends at the deadline."""
        running = start(secured.write())
        with ExitStack() as stack:
            for number in range(100):
                half_open = stack.enter_context(_socket(running))
                if number % 2:
                    half_open.sendall(b"\x16\x03\x01")
            began = time.monotonic()
            assert _ask(running, "/metrics", tls=secured.client()).status == 200
            assert time.monotonic() - began < 2
            monkeypatch.setattr(handler, "REQUEST_SECONDS", 0.2)
            late = stack.enter_context(_socket(running))
            late.sendall(b"\x16\x03\x01")
            assert late.recv(1) == b""

    def test_a_renewed_certificate_serves_the_next_connection(self, start: Start, secured: _Secured) -> None:
        """And ends those that were made with the old one after their next request."""
        running = start(secured.write())
        context = secured.client()
        with closing(_connect(running, context)) as client:
            client.request("GET", "/-/healthy")
            client.getresponse().read()
            before = _certificate(client)
            secured.renew()
            client.request("GET", "/-/healthy")
            response = client.getresponse()
            assert response.headers["Connection"] == "close"
            response.read()
            client.request("GET", "/-/healthy")
            client.getresponse().read()
            assert _certificate(client) != before

    def test_a_removed_user_is_out_with_the_next_request(self, start: Start, secured: _Secured) -> None:
        """On a connection that stays open, too."""
        running = start(secured.write(tls=None, users={"alice": PASSWORD, "bob": "x"}))
        with closing(_connect(running)) as client:
            client.request("GET", "/metrics", headers=_basic("alice", PASSWORD))
            response = client.getresponse()
            response.read()
            assert response.status == 200
            secured.write(tls=None, users={"bob": "x"})
            client.request("GET", "/metrics", headers=_basic("alice", PASSWORD))
            assert client.getresponse().status == 401

    def test_configured_headers_are_sent_and_win(self, start: Start, secured: _Secured) -> None:
        """They replace the server's own."""
        path = secured.folder / "headers.yaml"
        path.write_text("http_server_config:\n  headers:\n    X-Frame-Options: sameorigin\n")
        assert _ask(start(path), "/metrics").headers.get_all("X-Frame-Options") == ["sameorigin"]

    @pytest.mark.parametrize("cost", [12, 14])
    def test_a_flood_of_wrong_passwords_does_not_slow_a_good_scraper(
        self, start: Start, secured: _Secured, cost: int
    ) -> None:
        """Sixteen strangers guess as fast as they can, at a cost that takes bcrypt up to a second each."""
        hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(cost)).decode()
        secured.file.write_text(f"basic_auth_users:\n  alice: {hashed}\n")
        running = start(secured.file)
        good = _basic("alice", PASSWORD)
        # on a machine that has other work, the first check of a password at this cost may end too late
        wait_for(lambda: _ask(running, "/metrics", headers=good).status == 200, 30, "the scraper to be known")
        flood = _Flood(running, 16)
        try:
            wait_for(lambda: len(running._site.users._waiting) > 10, 30, "the flood to fill the queue")
            took = []
            for _ in range(50):
                began = time.monotonic()
                assert _ask(running, "/metrics", headers=good).status == 200
                took.append(time.monotonic() - began)
        finally:
            flood.stop()
        assert sorted(took)[25] < 0.25
        assert max(took) < 3
        assert set(flood.statuses) <= {401, 503}

    def test_a_right_password_that_is_not_known_yet_is_served_during_a_flood(
        self, start: Start, secured: _Secured
    ) -> None:
        """At the first attempt, while more strangers guess than there are connections, each over several of them."""
        users = ["alice", "bob", "carol"]
        hashed = {user: bcrypt.hashpw(f"{PASSWORD}{user}".encode(), bcrypt.gensalt(11)).decode() for user in users}
        secured.file.write_text("basic_auth_users:\n" + "".join(f"  {user}: {hashed[user]}\n" for user in users))
        running = start(secured.file)
        flood = _Flood(running, 48, addresses=12)
        try:
            wait_for(lambda: len(running._site.users._waiting) > 20, 30, "the flood to fill the queue")
            for user in users:
                answer = _ask(running, "/metrics", headers=_basic(user, f"{PASSWORD}{user}"))
                assert answer.status == 200
                assert len(running._open) <= server.MAX_CONNECTIONS
        finally:
            running.stop(1)
            flood.stop()
        assert set(flood.statuses) <= {401, 503}
        assert running._site.users.guesses


class _Flood:
    """Strangers who guess passwords over a connection each that they keep or open again, 10,000 each at most."""

    def __init__(self, running: Server, strangers: int, addresses: int = 16) -> None:
        self.statuses: dict[int, int] = {}
        self._ended, self._addresses = threading.Event(), addresses
        self._threads = [threading.Thread(target=self._guess, args=(running, number)) for number in range(strangers)]
        for each in self._threads:
            each.start()

    def stop(self) -> None:
        """End the flood."""
        self._ended.set()
        for each in self._threads:
            each.join(30)

    def _guess(self, running: Server, stranger: int) -> None:
        host, _, port = running.address.rpartition(":")
        source = (f"127.0.0.{stranger % self._addresses + 2}", 0)
        with closing(http.client.HTTPConnection(host, int(port), timeout=20, source_address=source)) as client:
            for number in range(10_000):
                if self._ended.is_set():
                    return
                try:
                    client.request("GET", "/metrics", headers=_basic("alice", f"guess {stranger} {number}"))
                    response = client.getresponse()
                    response.read()
                except (OSError, http.client.HTTPException):
                    client.close()
                else:
                    self.statuses[response.status] = self.statuses.get(response.status, 0) + 1
                # A stranger's own processor is not ours to lose.
                self._ended.wait(0.005)
