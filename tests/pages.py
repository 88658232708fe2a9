"""A TCP server for pages that misbehave: what it sends, and how slowly, is the test's."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

Handler = Callable[[socket.socket], None]


class Server:
    """A TCP server that reads a request's head and then does what the test says, each client in a thread."""

    def __init__(self, handler: Handler) -> None:
        self._handler, self._clients = handler, list[socket.socket]()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/metrics"
        self.requests: list[bytes] = []
        self.ended = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                self._clients.append(client)
                self._threads.append(threading.Thread(target=self._serve, args=(client,)))
                self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                if not (part := client.recv(4096)):
                    return
                head += part
            self.requests.append(head)
            self._handler(client)

    def close(self) -> None:
        """End it and every client."""
        self.ended.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._threads[0].join()
        for client in self._clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()


Serve = Callable[[Handler], Server]


def answer(body: bytes, status: str = "200 OK", **headers: str) -> Handler:
    """Answer at once, whole."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    whole = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    return lambda client: client.sendall(whole)


def trickle(head: bytes, body: bytes, each: float) -> Handler:
    """Send the head at once and the body a byte at a time, `each` seconds apart, until the client leaves."""

    def handler(client: socket.socket) -> None:
        client.sendall(head)
        for number in range(100_000):
            client.sendall(body[number % len(body) :][:1])
            time.sleep(each)

    return handler
