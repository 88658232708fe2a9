"""The HTTP server: accepts connections, gives each a thread, keeps their number bounded, and ends them in order.

A client that is slow or silent holds one thread until its deadline, and when there are many of them the one that has
waited longest gives way: they can neither stop a scrape nor pile up.
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from pathlib import Path

from exporter.connection import Connection, Phase, Site
from exporter.listen import listen, parse, shown
from exporter.logs import log
from exporter.passwords import PasswordChecker
from exporter.routes import Router, Routes
from exporter.webconfig import WebConfigFile

__all__ = ["Routes", "Server"]

_log = logging.getLogger(__name__)

# Two Prometheus servers, the kubelet's probes and a few people need under ten; a thread costs about 60 kB.
MAX_CONNECTIONS = 32
# Threads of connections that were closed to make room and have not yet noticed.
_MAX_ENDING = 32
# After a failure to accept, such as no free file descriptor, before the next try.
_PAUSE_SECONDS = 0.1


class Server:
    """Serves `routes` over HTTP, or HTTPS with users where the web configuration file says so.

    `/-/healthy` and `/-/ready` are open to everybody, with and without TLS: a kubelet's probe sends no credentials and
    no client certificate. Where credentials are asked for, they show strangers only `OK` or the class of the reason.

    Args:
        listen_address: `:10917`, `127.0.0.1:0`, `[::1]:10917` or `host:port`.
        routes: what is served.
        web_config: a web configuration file; None for plain HTTP.

    Raises:
        ConfigError: the address or the web configuration file is wrong.
    """

    def __init__(self, listen_address: str, routes: Routes, web_config: Path | None = None) -> None:
        parse(listen_address)
        self._listen_address = self._address = listen_address
        self._site = Site(Router(routes), WebConfigFile(web_config), PasswordChecker())
        self._wake, self._woken = socket.socketpair()
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()
        self._open: set[Connection] = set()
        self._threads = 0
        self._failures = log.RepeatLimit(60)

    @property
    def address(self) -> str:
        """Where it listens, as `host:port`; with port 0 the real one once started."""
        return self._address

    def start(self) -> None:
        """Listen and serve in the background.

        Raises:
            ConfigError: the address is in use, not this machine's, or does not resolve.
        """
        listener = listen(self._listen_address)
        self._address = shown(listener)
        selector = selectors.DefaultSelector()
        selector.register(listener, selectors.EVENT_READ)
        selector.register(self._woken, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._accept_loop, args=(listener, selector), name="http", daemon=True)
        config = self._site.web_config.current()
        tls, users = config.tls is not None, len(config.users)
        log.kv(_log, logging.INFO, "listening", address=self._address, tls=tls, users=users)
        if users and not tls:
            log.kv(_log, logging.WARNING, "passwords travel unencrypted; set tls_server_config")
        if config.http2:
            log.kv(_log, logging.INFO, "HTTP/2 is not served, clients get HTTP/1.1", key="http_server_config.http2")
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Accept no more, let requests that are being answered finish within `timeout` seconds, and end the rest."""
        self._site.stopping.set()
        self._wake.close()
        if self._thread:
            self._thread.join()
        self._woken.close()
        deadline = time.monotonic() + timeout
        with self._changed:
            for each in self._open:
                if each.phase is Phase.WAITING:
                    each.abort()
            self._changed.wait_for(lambda: not self._threads, deadline - time.monotonic())
            for each in self._open:
                each.abort()
        self._site.passwords.close()

    def _accept_loop(self, listener: socket.socket, selector: selectors.BaseSelector) -> None:
        with listener, selector:
            while not self._site.stopping.is_set():
                selector.select()
                if self._site.stopping.is_set():
                    return
                try:
                    sock, peer = listener.accept()
                except BlockingIOError:
                    continue  # the client went away before it was accepted
                except OSError as error:
                    self._pause("cannot accept a connection", error)
                    continue
                # On a dual-stack socket an IPv4 peer comes as an IPv6 address.
                self._admit(Connection(sock, str(peer[0]).removeprefix("::ffff:"), self._site), sock)

    def _admit(self, connection: Connection, sock: socket.socket) -> None:
        with self._changed:
            if len(self._open) >= MAX_CONNECTIONS:
                self._make_room()
            if len(self._open) >= MAX_CONNECTIONS or self._threads >= MAX_CONNECTIONS + _MAX_ENDING:
                sock.close()
                return
            self._open.add(connection)
            self._threads += 1
        try:
            threading.Thread(target=self._run, args=(connection,), name="http-connection", daemon=True).start()
        except RuntimeError as error:
            # No more threads or memory for this process.
            sock.close()
            self._forget(connection)
            self._pause("cannot start a thread for a connection", error)

    def _make_room(self) -> None:
        """Close the connection whose client has been waited for longest."""
        waiting = [each for each in self._open if each.phase is not Phase.WORKING]
        if waiting:
            oldest = min(waiting, key=lambda each: each.since)
            self._open.discard(oldest)
            oldest.abort()
            self._failures.kv(_log, logging.WARNING, "too many connections, closing the one that waited longest")

    def _run(self, connection: Connection) -> None:
        try:
            connection.run()
        finally:
            self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        with self._changed:
            self._open.discard(connection)
            self._threads -= 1
            self._changed.notify_all()

    def _pause(self, what: str, error: Exception) -> None:
        with self._changed:
            self._make_room()
        self._failures.kv(_log, logging.WARNING, what, err=error)
        self._site.stopping.wait(_PAUSE_SECONDS)
