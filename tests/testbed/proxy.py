"""A TCP proxy that makes a network slow, unsteady or dead, changeable while connections go through it.

It runs in a process of its own (`tests.testbed.proxy_server`), so that neither side waits for the other's GIL.
"""

import json
import socket
import sys
from urllib.parse import urlsplit

from tests.testbed import proxy_server
from tests.testbed.process import Server, ServerFailed, Started, free_port, wait_for


class TcpProxy(Started):
    """A proxy on 127.0.0.1 before one address; a context manager.

    What it does is in force for the connections there are and for new ones when a call returns. It ends TCP
    on both sides: bytes it withholds are acknowledged to their sender, so the sender's own TCP time-outs
    (``tcp_user_timeout``, keepalives) don't expire; and a delay is not felt by the TCP handshake.
    """

    host = "127.0.0.1"

    def __init__(self, host: str, port: int, *, listen: int | None = None) -> None:
        """Describe a proxy before that address, on a free port unless `listen` says which; nothing is started yet."""
        self.port = listen or free_port()
        self._control_port = free_port()
        self._server = Server(
            "proxy",
            [
                sys.executable, "-I", "-S", proxy_server.__file__,
                str(self.port), str(self._control_port), host, str(port),
            ],
        )  # fmt: skip
        self._control: socket.socket | None = None
        self._mode = "forward"
        self._delay = 0.0
        self._jitter = 0.0

    def url(self, url: str) -> str:
        """Return a PostgreSQL URL with its host and port replaced by the proxy's."""
        parts = urlsplit(url)
        login = parts.netloc.rpartition("@")[0]
        return parts._replace(netloc=f"{login}@{self.host}:{self.port}").geturl()

    @property
    def delay_seconds(self) -> float:
        """By how much each round trip is longer, half of it in each direction."""
        return self._delay

    @delay_seconds.setter
    def delay_seconds(self, seconds: float) -> None:
        self._delay = seconds
        self._apply()

    @property
    def jitter_seconds(self) -> float:
        """By how much more a round trip may be longer, at random; bytes keep their order."""
        return self._jitter

    @jitter_seconds.setter
    def jitter_seconds(self, seconds: float) -> None:
        self._jitter = seconds
        self._apply()

    def black_hole(self) -> None:
        """Pass no byte on and answer no new connection; what was sent arrives once it heals."""
        self._switch("black-hole")

    def accept_then_stall(self) -> None:
        """Accept new connections at once, but pass no byte on."""
        self._switch("stall")

    def refuse(self) -> None:
        """Reset all connections and refuse new ones."""
        self._switch("refuse")

    def heal(self) -> None:
        """Forward at once again, without delay and jitter."""
        self._delay = self._jitter = 0.0
        self._switch("forward")

    def _switch(self, mode: str) -> None:
        self._mode = mode
        self._apply()

    def _apply(self) -> None:
        if self._control is None:
            raise ServerFailed("the proxy was not started")
        state = {"mode": self._mode, "delay": self._delay, "jitter": self._jitter}
        self._control.sendall(json.dumps(state).encode() + b"\n")
        if self._control.recv(100) != b"done\n":
            raise ServerFailed(f"the proxy ended; its log ends: {self._server.log_end()}")

    def start(self) -> None:
        """Start the proxy and wait until it forwards."""
        self._server.start()
        self._control = wait_for(self._connect, 20, "the proxy to listen", self._server)

    def _connect(self) -> socket.socket | None:
        try:
            return socket.create_connection((self.host, self._control_port), timeout=10)
        except ConnectionRefusedError:
            return None

    def stop(self) -> None:
        """End the proxy and all its connections."""
        if self._control is not None:
            self._control.close()
            self._control = None
        self._server.close()

    close = stop
