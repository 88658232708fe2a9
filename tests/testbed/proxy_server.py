"""The TCP proxy's own process: forwards bytes, late or not at all, as its control connection says.

It is run by its path, without the package, and therefore imports the standard library only. Arguments: the
listening port, the control port, the target's host and port. The control connection takes one JSON object a
line, the whole state ``{"mode": "forward", "delay": 0.0, "jitter": 0.0}``, and answers each with a line once
the state is in force.
"""

import asyncio
import json
import random
import socket
import struct
import sys
from typing import Any

CHUNK = 65536
"""Bytes read at once."""

IN_FLIGHT = 64
"""Chunks of one direction that may be under way; further ones wait in the kernel's buffer."""


def reset(writers: list[asyncio.StreamWriter]) -> None:
    """Break connections with a reset: closed without lingering, see socket(7)."""
    for writer in writers:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()


class Proxy:
    """The state, the listening socket and the connections."""

    def __init__(self, port: int, target: tuple[str, int]) -> None:
        self._port = port
        self._target = target
        self._mode = "forward"
        self._delay = 0.0
        self._jitter = 0.0
        self._changed = asyncio.Event()  # replaced at each change
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._fillers: list[socket.socket] = []
        self._connections: set[asyncio.Task[None]] = set()

    def change(self, mode: str, delay: float, jitter: float) -> None:
        """Put a state in force, for the connections there are too."""
        self._mode, self._delay, self._jitter = mode, delay, jitter
        if mode == "refuse":
            self._stop_listening()
            for connection in list(self._connections):
                connection.cancel()
        else:
            self._listen(dropping=mode == "black-hole")
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _listen(self, *, dropping: bool) -> None:
        """Accept new connections or, dropping, leave their SYN packets without an answer.

        Linux drops SYNs while the queue of connections to accept is full (listen(2), tcp_abort_on_overflow=0),
        so a queue of one is filled with connections of our own.
        """
        if self._listener is None:
            self._listener = socket.socket()
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.setblocking(False)
            self._listener.bind(("127.0.0.1", self._port))
        for filler in self._fillers:
            filler.close()
        self._fillers = []
        if dropping:
            if self._accepting is not None:
                self._accepting.cancel()
                self._accepting = None
            self._listener.listen(0)
            for _ in range(2):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", self._port))
                self._fillers.append(filler)
        else:
            self._listener.listen(128)
            if self._accepting is None:
                self._accepting = asyncio.create_task(self._accept(self._listener))

    def _stop_listening(self) -> None:
        if self._accepting is not None:
            self._accepting.cancel()
            self._accepting = None
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            accepted, _ = await loop.sock_accept(listener)
            connection = asyncio.create_task(self._connection(accepted))
            self._connections.add(connection)
            connection.add_done_callback(self._connections.discard)

    async def _connection(self, accepted: socket.socket) -> None:
        """Forward one connection until both of its directions have ended, or either has broken."""
        reader, writer = await asyncio.open_connection(sock=accepted)
        writers = [writer]
        try:
            await self._forwarding()
            target_reader, target_writer = await asyncio.open_connection(*self._target)
            writers.append(target_writer)
            async with asyncio.TaskGroup() as directions:
                directions.create_task(self._direction(reader, target_writer))
                directions.create_task(self._direction(target_reader, writer))
        except (OSError, ExceptionGroup):
            reset(writers)
        except asyncio.CancelledError:
            reset(writers)
            raise
        finally:
            for done in writers:
                done.close()

    async def _direction(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        chunks: asyncio.Queue[tuple[float, float, bytes]] = asyncio.Queue(IN_FLIGHT)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._read(reader, chunks))
            both.create_task(self._write(chunks, writer))

    async def _read(self, reader: asyncio.StreamReader, chunks: asyncio.Queue[tuple[float, float, bytes]]) -> None:
        """Queue what arrives with its time and its luck (0 to 1), an empty chunk at the end."""
        loop = asyncio.get_running_loop()
        data = b"-"
        while data:
            await self._forwarding()
            data = await reader.read(CHUNK)
            await chunks.put((loop.time(), random.random(), data))  # noqa: S311 - no secret

    async def _write(self, chunks: asyncio.Queue[tuple[float, float, bytes]], writer: asyncio.StreamWriter) -> None:
        """Pass chunks on in their order, each when its half of the round trip's delay is over."""
        loop = asyncio.get_running_loop()
        while True:
            arrived, luck, data = await chunks.get()
            while (wait := arrived + (self._delay + self._jitter * luck) / 2 - loop.time()) > 0:
                await self._change_within(wait)
            await self._forwarding()
            if not data:
                writer.write_eof()
                return
            writer.write(data)
            await writer.drain()

    async def _forwarding(self) -> None:
        while self._mode != "forward":
            await self._changed.wait()

    async def _change_within(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._changed.wait(), seconds)
        except TimeoutError:
            return


async def main(port: int, control_port: int, host: str, target_port: int) -> None:
    """Serve until the process is ended."""
    proxy = Proxy(port, (host, target_port))
    proxy.change("forward", 0.0, 0.0)

    async def control(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            state: dict[str, Any] = json.loads(line)
            proxy.change(state["mode"], state["delay"], state["jitter"])
            writer.write(b"done\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(control, "127.0.0.1", control_port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
