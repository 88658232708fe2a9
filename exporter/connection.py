"""One client's connection, from its TLS handshake to its end, in a thread of its own."""

from __future__ import annotations

import base64
import binascii
import io
import logging
import socket
import ssl
import threading
import time
from contextlib import suppress
from enum import Enum
from http import HTTPStatus
from typing import Any

from exporter.http1 import MAX_HEAD, BadRequest, ConnectionEnded, Request, Stream, encode, read_request
from exporter.logs import log
from exporter.passwords import PasswordChecker, Verdict
from exporter.routes import Response, Router, plain
from exporter.tls import Tls
from exporter.webconfig import WebConfig, WebConfigFile

_log = logging.getLogger(__name__)
# A client that speaks no TLS, or trusts another authority, tries again at each scrape.
_handshake_failures = log.RepeatLimit(300)

# For the handshake and one request's head together, and again for sending its response.
REQUEST_SECONDS = 10.0
# Between two requests: longer than the scrape intervals in use.
IDLE_SECONDS = 120.0
# For a client to read a refusal before the connection is closed on what it still sends.
_LINGER_SECONDS = 1.0

_TLS_HANDSHAKE = b"\x16"
_ALWAYS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "deny",
}
_CHALLENGE = 'Basic realm="river-exporter", charset="UTF-8"'


class Phase(Enum):
    """What a connection is at: waiting for its client's request, working on it, or sending the response."""

    WAITING = "waiting"
    WORKING = "working"
    SENDING = "sending"


class Site:
    """What all connections share: the pages, the web configuration, the passwords, and the end of it all."""

    def __init__(self, router: Router, web_config: WebConfigFile, passwords: PasswordChecker) -> None:
        self.router, self.web_config, self.passwords = router, web_config, passwords
        self.stopping = threading.Event()


class Connection:
    """A client's connection.

    Args:
        sock: as accepted.
        peer: the client's address without port.
        site: what it is served from.
    """

    def __init__(self, sock: socket.socket, peer: str, site: Site) -> None:
        self.phase, self.since = Phase.WAITING, time.monotonic()
        self._sock, self._peer, self._site = sock, peer, site
        self._lock = threading.Lock()
        self._tls: Tls | None = None
        self._certificate: Any = None

    def run(self) -> None:
        """Serve the client until it or the server ends the connection; raises nothing."""
        try:
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._begin():
                self._serve()
        except (ConnectionEnded, OSError) as error:
            log.kv(_log, logging.DEBUG, "connection ended", peer=self._peer, reason=error)
        except Exception as error:  # one client's request must not end the server's log with a traceback
            log.kv(_log, logging.ERROR, "connection failed", peer=self._peer, exc_info=error)
        finally:
            with self._lock:
                self._sock.close()

    def abort(self) -> None:
        """End the connection from another thread, whatever it waits for."""
        # Not the TLS socket's own shutdown, which takes the session away from under the thread that uses it.
        with self._lock, suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def _enter(self, phase: Phase) -> None:
        self.phase, self.since = phase, time.monotonic()

    def _begin(self) -> bool:
        """The handshake where TLS is on; False when the client was refused."""
        tls = self._tls = self._site.web_config.current().tls
        if tls is None:
            return True
        self._sock.settimeout(REQUEST_SECONDS)
        first = self._sock.recv(1, socket.MSG_PEEK)
        if first != _TLS_HANDSHAKE:
            if first:
                self._refuse_plain()
            return False
        with self._lock:
            self._sock = tls.context.wrap_socket(self._sock, server_side=True, do_handshake_on_connect=False)
        try:
            self._sock.settimeout(max(self.since + REQUEST_SECONDS - time.monotonic(), 0.001))
            self._sock.do_handshake()
        except ssl.SSLError as error:
            reason = error.reason or "broken off"
            _handshake_failures.kv(
                _log, logging.INFO, "TLS handshake failed", key=reason, peer=self._peer, reason=reason
            )
            return False
        self._certificate = self._sock.getpeercert()
        return True

    def _refuse_plain(self) -> None:
        response = plain(HTTPStatus.BAD_REQUEST, "this port speaks HTTPS only")
        self._answer(Stream(self._sock), response, keep_alive=False, body=True)
        self._linger()

    def _serve(self) -> None:
        stream = Stream(self._sock)
        reader = io.BufferedReader(stream, 4096)
        stream.allow(max(self.since + REQUEST_SECONDS - time.monotonic(), 0.001), MAX_HEAD)
        while not self._site.stopping.is_set():
            try:
                request = read_request(reader)
            except BadRequest as error:
                self._answer(stream, plain(error.status, str(error)), keep_alive=False, body=True)
                self._linger()
                return
            if not self._handle(stream, request):
                return
            stream.allow(IDLE_SECONDS, MAX_HEAD)
            if not reader.peek(1):
                return
            stream.allow(REQUEST_SECONDS, MAX_HEAD)

    def _handle(self, stream: Stream, request: Request) -> bool:
        """Answer a request; whether the connection goes on."""
        self._enter(Phase.WORKING)
        began = self.since
        config = self._site.web_config.current()
        response = self._respond(config, request)
        # A changed certificate or authority takes effect with the client's next connection.
        current = config.tls is self._tls and not self._site.stopping.is_set()
        keep_alive = request.keep_alive and current
        self._enter(Phase.SENDING)
        self._answer(stream, response, keep_alive=keep_alive, body=request.method != "HEAD", config=config)
        self._enter(Phase.WAITING)
        log.kv(
            _log,
            logging.DEBUG,
            "request",
            peer=self._peer,
            method=request.method,
            path=request.path,
            status=response.status.value,
            bytes=len(response.body),
            took_seconds=time.monotonic() - began,
        )
        if request.has_body:
            self._linger()
        return keep_alive

    def _respond(self, config: WebConfig, request: Request) -> Response:
        protected = bool(config.users) or (config.tls is not None and config.tls.client_certificate_required)
        is_open = request.path in self._site.router.open_paths
        if protected and not is_open and (refusal := self._refusal(config, request)):
            return refusal
        router = self._site.router
        return router.respond(request.method, request.path, request.headers, stranger=protected and is_open)

    def _refusal(self, config: WebConfig, request: Request) -> Response | None:
        """Why the request may not pass; None when it may."""
        if config.tls is not None and not config.tls.admits(self._certificate):
            return plain(HTTPStatus.FORBIDDEN, "a client certificate that is allowed here is required")
        if not config.users:
            return None
        credentials = basic_credentials(request.headers.get("authorization", ""))
        verdict = Verdict.WRONG
        if credentials:
            user, password = credentials
            verdict = self._site.passwords.check(config.users, user, password, self._peer)
        if verdict is Verdict.RIGHT:
            return None
        if verdict is Verdict.BUSY:
            return plain(HTTPStatus.TOO_MANY_REQUESTS, "too many passwords are being checked", Retry_After="10")
        return plain(HTTPStatus.UNAUTHORIZED, "a user name and its password are required", WWW_Authenticate=_CHALLENGE)

    def _answer(
        self, stream: Stream, response: Response, *, keep_alive: bool, body: bool, config: WebConfig | None = None
    ) -> None:
        stream.allow(REQUEST_SECONDS)
        configured = (config or self._site.web_config.current()).headers
        response = Response(response.status, response.body, response.content_type, {**response.headers, **configured})
        stream.send(encode(response, _ALWAYS, keep_alive=keep_alive, body=body))

    def _linger(self) -> None:
        """Let the client read the answer: closing on unread data would reset the connection under it."""
        socket.socket.shutdown(self._sock, socket.SHUT_WR)
        deadline = time.monotonic() + _LINGER_SECONDS
        for _ in range(64):
            self._sock.settimeout(max(deadline - time.monotonic(), 0.001))
            if not socket.socket.recv(self._sock, 4096):
                return


def basic_credentials(authorization: str) -> tuple[str, bytes] | None:
    """User name and password of an Authorization header; None when it holds none (RFC 7617)."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except (binascii.Error, UnicodeDecodeError):
        return None
