"""The HTTP server: accepts connections, gives each a thread, bounds their number and time, and ends them in order.

The loop is the standard library's `socketserver`. Its thread closes a connection whose client lets its deadline pass,
and the one that waited longest when there are too many: slow or silent clients neither stop a scrape nor accumulate.
"""

from __future__ import annotations

import errno
import logging
import re
import socket
import socketserver
import threading
import time
from pathlib import Path
from typing import Any

from exporter.errors import ConfigError
from exporter.http.handler import Client, Handler, Phase, Site
from exporter.http.routes import Router, Routes
from exporter.http.users import Users
from exporter.http.webconfig import WebConfigFile
from exporter.logs.log import RepeatLimit

log = logging.getLogger(__name__)

# Two Prometheus servers, the kubelet's probes and a few people need under ten; a thread costs about 60 kB.
MAX_CONNECTIONS = 32
# Threads of connections that were closed to make room and have not ended yet.
_MAX_ENDING, _ENDING_SECONDS = 32, 1.0
# How often deadlines are looked at.
_POLL_SECONDS = 0.25
# After a failure to accept, such as no free file descriptor, before the next attempt.
_PAUSE_SECONDS = 0.1

_ADDRESS = re.compile(r"(?:\[(?P<six>[^\[\]]+)\]|(?P<host>[^:\[\]\s]*)):(?P<port>\d{1,5})", re.ASCII)
_REMEDIES = {
    errno.EADDRINUSE: "the port is in use; stop what listens there or choose another one",
    errno.EACCES: "ports below 1024 need a privilege; choose a higher one",
    errno.EADDRNOTAVAIL: "that is no address of this machine; use :PORT for all of them",
    errno.EAFNOSUPPORT: "this machine has no addresses of that family; use :PORT for all it has",
}


class Server(socketserver.TCPServer):
    """Serves `routes` over HTTP, or HTTPS with users where the web configuration file sets them.

    `/-/healthy` and `/-/ready` need no credentials, with TLS and without: a kubelet's probe sends none. Where
    credentials are required, these two give an unauthenticated client only `OK` or the error category.

    Args:
        address: `:10917`, `127.0.0.1:0`, `[::1]:10917` or `host:port`; the attribute is the real one once started.
        routes: what is served.
        web_config: a web configuration file; None for plain HTTP.

    Raises:
        ConfigError: the address or the web configuration file is wrong.
    """

    def __init__(self, address: str, routes: Routes, web_config: Path | None = None) -> None:
        # Not TCPServer's, which makes a socket at once.
        socketserver.BaseServer.__init__(self, parse(address), Handler)
        self.address = address
        self._site = Site(Router(routes), WebConfigFile(web_config), Users())
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()
        self._open: set[Client] = set()
        self._threads = 0
        self._failures = RepeatLimit(60)

    def start(self) -> None:
        """Listen and serve in the background.

        Raises:
            ConfigError: the address is in use, not this machine's, or does not resolve.
        """
        self.socket = _listen(self.address)
        host, port = self.socket.getsockname()[:2]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        config = self._site.web_config.current()
        tls, users = config.tls is not None, len(config.users)
        log.info("listening", extra={"address": self.address, "tls": tls, "users": users})
        if users and not tls:
            log.warning("passwords travel unencrypted; set tls_server_config")
        if config.http2:
            log.info("HTTP/2 is not served, clients get HTTP/1.1", extra={"key": "http_server_config.http2"})
        self._thread = threading.Thread(target=self.serve_forever, args=(_POLL_SECONDS,), name="http", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Accept no more, let requests that are being answered finish within `timeout` seconds, and end the rest."""
        deadline = time.monotonic() + timeout
        self._site.stopping.set()
        if self._thread:
            self.shutdown()
            self.server_close()
        with self._changed:
            for each in self._open:
                if each.phase is Phase.WAITING:
                    each.abort()
            self._changed.wait_for(lambda: not self._threads, deadline - time.monotonic())
            for each in self._open:
                each.abort()
        self._site.users.close()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; socketserver goes on after an OSError."""
        try:
            return self.socket.accept()
        except BlockingIOError:
            raise  # the client went away before it was accepted
        except OSError as error:
            self._pause("cannot accept a connection", error)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give the connection a thread, or close it when there is no room."""
        # On a dual-stack socket an IPv4 peer comes as an IPv6 address.
        client = Client(request, str(client_address[0]).removeprefix("::ffff:"))
        with self._changed:
            if len(self._open) >= MAX_CONNECTIONS:
                self._make_room()
            # Those that were closed end at once; until then newcomers wait in the listening socket's queue.
            room = self._changed.wait_for(lambda: self._threads < MAX_CONNECTIONS + _MAX_ENDING, _ENDING_SECONDS)
            if not room or len(self._open) >= MAX_CONNECTIONS:
                client.close()
                return
            self._open.add(client)
            self._threads += 1
        try:
            threading.Thread(target=self._run, args=(client,), name="http-connection", daemon=True).start()
        except RuntimeError as error:
            # No more threads or memory for this process.
            self._forget(client)
            self._pause("cannot start a thread for a connection", error)

    def service_actions(self) -> None:
        """End the connections whose deadline has passed; socketserver calls this at each turn of its loop."""
        now = time.monotonic()
        with self._changed:
            for each in self._open:
                if now >= each.deadline:
                    each.abort()

    def _make_room(self) -> None:
        """Close the connection that waits for longest; first of peers that guess passwords or have many connections."""
        peers = [each.peer for each in self._open]
        guesses = self._site.users.guesses

        def order(client: Client) -> tuple[bool, bool, int, float]:
            return client.authenticated, client.peer not in guesses, -peers.count(client.peer), client.since

        waiting = [each for each in self._open if each.phase is not Phase.WORKING]
        if waiting:
            closed = min(waiting, key=order)
            self._open.discard(closed)
            closed.abort()
            self._failures.log(log, logging.WARNING, "too many connections, closing the one that waited longest")

    def _run(self, client: Client) -> None:
        try:
            Handler(client, client.peer, self._site)  # type: ignore[arg-type]  # typeshed knows sockets
        except OSError as error:
            log.debug("connection ended", extra={"peer": client.peer, "reason": error})
        except Exception:  # one client's request must not end the server's log with a traceback
            log.exception("connection failed", extra={"peer": client.peer})
        finally:
            self._forget(client)

    def _forget(self, client: Client) -> None:
        client.close()
        with self._changed:
            self._open.discard(client)
            self._threads -= 1
            self._changed.notify_all()

    def _pause(self, what: str, error: Exception) -> None:
        with self._changed:
            self._make_room()
        self._failures.log(log, logging.WARNING, what, extra={"error": error})
        self._site.stopping.wait(_PAUSE_SECONDS)


def parse(address: str) -> tuple[str, int]:
    """Host (empty for all interfaces) and port of a listen address; ConfigError when it is none."""
    match = _ADDRESS.fullmatch(address)
    if not match:
        hint = f"; write [{address.rpartition(':')[0]}]:PORT" if address.count(":") > 2 else ""
        raise ConfigError(
            f"web.listen_address: {address!r} is no address to listen on, like :10917 or [::1]:10917{hint}"
        )
    if int(match["port"]) > 65535:
        raise ConfigError(f"web.listen_address: {address!r}: the port is above 65535")
    return match["six"] or match["host"] or "", int(match["port"])


def _listen(address: str) -> socket.socket:
    """A socket that listens on `address`; all interfaces are IPv4 and IPv6 where the machine has both."""
    host, port = parse(address)
    dual = host in ("", "::") and socket.has_dualstack_ipv6()
    family, where = socket.AF_INET6, ("::", port)
    try:
        if not dual:
            found = socket.getaddrinfo(host or "0.0.0.0", port, type=socket.SOCK_STREAM)  # noqa: S104 - as asked for
            # A name with several addresses means its IPv4 one, as it does to Prometheus' own programs.
            family, _, _, _, where = min(found, key=lambda each: each[0] != socket.AF_INET)  # type: ignore[assignment]
        listener = socket.create_server(where, family=family, backlog=128, dualstack_ipv6=dual)
    except (socket.gaierror, UnicodeError):
        raise ConfigError(f"cannot listen on {address}: the name does not resolve; use :PORT or an address") from None
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, f"{error.strerror}; choose another address")
        raise ConfigError(f"web.listen_address: cannot listen on {address}: {remedy}") from None
    listener.setblocking(False)
    return listener
