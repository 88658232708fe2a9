"""One client's connection, served in its own thread by the standard library's `http.server`.

The TLS handshake, one request's head and the check of its password have one deadline together. A body is never read.
"""

from __future__ import annotations

import io
import logging
import math
import re
import socket
import ssl
import threading
import time
from contextlib import suppress
from enum import Enum
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from exporter.http.routes import Response, Router, plain
from exporter.http.users import Users, Verdict, basic_credentials
from exporter.http.webconfig import WebConfig, WebConfigFile
from exporter.logs.log import RepeatLimit

log = logging.getLogger(__name__)
# A client without TLS, or one that trusts another authority, tries again at each scrape.
_handshake_failures = RepeatLimit(300)

# For the handshake, one request's head and the check of its password together; again for sending the response.
REQUEST_SECONDS = 10.0
# Between two requests: longer than the scrape intervals in use.
IDLE_SECONDS = 120.0
# For a client to read a refusal before the connection is closed while it still sends.
_LINGER_SECONDS = 1.0
# Bytes of a request's line and headers together; a scraper's are under one thousand.
_MAX_HEAD = 16 * 1024
_MAX_LINE = 8 * 1024

_REQUEST_LINE = re.compile(rb"[A-Z]{1,16} [!-~]{1,8192} HTTP/1\.[01]\r?\n")
_TLS_HANDSHAKE = b"\x16"
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "deny",
}
_CHALLENGE = 'Basic realm="river-exporter", charset="UTF-8"'


class Phase(Enum):
    """What a connection does: waits for its client or its password's check, works on a response, or sends it."""

    WAITING = "waiting"
    WORKING = "working"
    SENDING = "sending"


class Client:
    """A connection: its own thread sets everything but `ended`; times are monotonic seconds."""

    def __init__(self, sock: socket.socket, peer: str) -> None:
        self.sock, self.peer = sock, peer
        self.authenticated, self.ended = False, False
        self.checked = threading.Event()
        self._lock = threading.Lock()
        self.enter(Phase.WAITING, REQUEST_SECONDS)

    def enter(self, phase: Phase, seconds: float) -> None:
        """Begin a phase that may last so long."""
        self.phase, self.since = phase, time.monotonic()
        self.deadline = self.since + seconds

    def wrap(self, context: ssl.SSLContext) -> ssl.SSLSocket:
        """Make the connection a TLS one, whose handshake is still to come."""
        with self._lock:
            self.sock = tls = context.wrap_socket(self.sock, server_side=True, do_handshake_on_connect=False)
        return tls

    def abort(self) -> None:
        """End the connection from another thread, whatever it waits for."""
        self.ended = True
        self.checked.set()
        # Not the TLS socket's own shutdown, which frees the session while its thread uses it.
        with self._lock, suppress(OSError):
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket; the connection's own thread does."""
        with self._lock:
            self.sock.close()


class Site:
    """What all connections share: the pages, the web configuration, the users, and the end of it all."""

    def __init__(self, router: Router, web_config: WebConfigFile, users: Users) -> None:
        self.router, self.web_config, self.users = router, web_config, users
        self.stopping = threading.Event()


class _TooLarge(Exception):  # noqa: N818 - the status' own name
    """A request's head has too many bytes."""


class _Head(io.BufferedReader):
    """Reads the lines of a request's head, `left` bytes at most."""

    left = _MAX_HEAD

    def readline(self, size: int | None = -1) -> bytes:
        """The next line; ConnectionAbortedError when the connection ends before it does."""
        line = super().readline(size)
        self.left -= len(line)
        if self.left < 0:
            raise _TooLarge
        if not line.endswith(b"\n") and len(line) != size:
            raise ConnectionAbortedError("the client ended the connection")
        return line


class Handler(BaseHTTPRequestHandler):
    """Serves one connection, in its thread, until the client or the server ends it."""

    protocol_version = request_version = "HTTP/1.1"
    command = ""
    request: Client
    server: Site  # type: ignore[assignment]  # typeshed knows servers
    rfile: _Head

    def setup(self) -> None:
        """Nothing is read before the handshake."""

    def finish(self) -> None:
        """The server closes the socket."""

    def handle(self) -> None:
        """Serve one request after the other, after the handshake where TLS is on."""
        client = self.request
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._tls = self.server.web_config.current().tls
        if self._tls is not None and not self._handshake(self._tls.context):
            return
        self.rfile = _Head(socket.SocketIO(client.sock, "r"))
        self.handle_one_request()
        while not self.close_connection:
            client.enter(Phase.WAITING, IDLE_SECONDS)
            if not self.rfile.peek(1):
                return
            client.enter(Phase.WAITING, REQUEST_SECONDS)
            self.rfile.left = _MAX_HEAD
            self.handle_one_request()

    def handle_one_request(self) -> None:
        """Read one request with http.server's parser, which decides whether the connection goes on, and answer it."""
        self.close_connection = True
        try:
            self.raw_requestline = self.rfile.readline(_MAX_LINE + 1)
            if len(self.raw_requestline) > _MAX_LINE:
                self.send_error(HTTPStatus.REQUEST_URI_TOO_LONG, f"the request line is over {_MAX_LINE} bytes")
            elif not _REQUEST_LINE.fullmatch(self.raw_requestline):
                self.send_error(HTTPStatus.BAD_REQUEST, "not an HTTP/1.1 request")
            elif self.parse_request():
                self._answer()
        except _TooLarge:
            self.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the request is over {_MAX_HEAD} bytes")

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Refuse what cannot be read, and end the connection."""
        self.close_connection = True
        self.command = ""
        self._send(plain(HTTPStatus(code), message or HTTPStatus(code).phrase), self.server.web_config.current())
        self._linger()

    def handle_expect_100(self) -> bool:
        """A body is never read, so none is asked for."""
        return True

    def _handshake(self, context: ssl.SSLContext) -> bool:
        """Whether the client may go on."""
        client = self.request
        first = client.sock.recv(1, socket.MSG_PEEK)
        if first != _TLS_HANDSHAKE:
            if first:
                self.send_error(HTTPStatus.BAD_REQUEST, "this port serves HTTPS only")
            return False
        tls = client.wrap(context)
        try:
            tls.do_handshake()
        except ssl.SSLError as error:
            reason = error.reason or "broken off"
            fields = {"peer": client.peer, "reason": reason}
            _handshake_failures.log(log, logging.INFO, "TLS handshake failed", key=reason, extra=fields)
            return False
        self._certificate = tls.getpeercert()
        return True

    def _answer(self) -> None:
        headers = {name.lower(): ", ".join(self.headers.get_all(name, ())) for name in self.headers}
        try:
            path = urlsplit(self.path).path
        except ValueError:
            path = ""
        if self.headers.defects or not path:
            self.send_error(HTTPStatus.BAD_REQUEST, "the path or a header is malformed")
            return
        began, config = time.monotonic(), self.server.web_config.current()
        response = self._respond(config, path, headers)
        # A body is not read, so a request behind it cannot be recognised.
        has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        # A changed certificate or authority takes effect with the client's next connection.
        if has_body or config.tls is not self._tls or self.server.stopping.is_set():
            self.close_connection = True
        self._send(response, config)
        fields = {
            "peer": self.request.peer,
            "method": self.command,
            "path": path,
            "status": response.status.value,
            "bytes": len(response.body),
            "took_seconds": time.monotonic() - began,
        }
        log.debug("request", extra=fields)
        if has_body:
            self._linger()

    def _respond(self, config: WebConfig, path: str, headers: dict[str, str]) -> Response:
        client, router = self.request, self.server.router
        protected = bool(config.users) or (config.tls is not None and config.tls.client_certificate_required)
        unauthenticated = protected and path in router.open_paths
        refusal = self._refusal(config, headers) if protected and not unauthenticated else None
        if client.ended:
            raise ConnectionAbortedError("the server ended the connection")
        client.authenticated |= protected and not unauthenticated and refusal is None
        client.enter(Phase.WORKING, math.inf)
        return refusal or router.respond(self.command, path, headers, unauthenticated=unauthenticated)

    def _refusal(self, config: WebConfig, headers: dict[str, str]) -> Response | None:
        """Why the request may not pass; None when it may."""
        client = self.request
        if config.tls is not None and not config.tls.admits(self._certificate):
            return plain(HTTPStatus.FORBIDDEN, "a client certificate that is allowed here is required")
        if not config.users:
            return None
        verdict = Verdict.WRONG
        if credentials := basic_credentials(headers.get("authorization", "")):
            client.checked = threading.Event()
            patience = client.deadline - time.monotonic() - _LINGER_SECONDS
            verdict = self.server.users.check(config.users, *credentials, client.peer, patience, client.checked)
        if verdict is Verdict.RIGHT:
            return None
        if verdict is Verdict.UNCHECKED:
            text = "the password could not be checked in time"
            return plain(HTTPStatus.SERVICE_UNAVAILABLE, text, Retry_After="10")
        return plain(HTTPStatus.UNAUTHORIZED, "a user name and its password are required", WWW_Authenticate=_CHALLENGE)

    def _send(self, response: Response, config: WebConfig) -> None:
        self.request.enter(Phase.SENDING, REQUEST_SECONDS)
        headers = {
            "Date": self.date_time_string(),
            "Content-Type": response.content_type,
            "Content-Length": str(len(response.body)),
            "Connection": "close" if self.close_connection else "keep-alive",
            **_HEADERS,
            **response.headers,
            **config.headers,
        }
        self.wfile = io.BytesIO()
        self.send_response_only(response.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)
        self.request.sock.sendall(self.wfile.getbuffer())

    def _linger(self) -> None:
        """Let the client read the answer: closing on unread data would reset the connection under it."""
        sock, deadline = self.request.sock, time.monotonic() + _LINGER_SECONDS
        socket.socket.shutdown(sock, socket.SHUT_WR)
        for _ in range(64):
            sock.settimeout(max(deadline - time.monotonic(), 0.001))
            if not socket.socket.recv(sock, 4096):
                return
