"""The proxy makes a network as bad as it says, for the connections there are and for new ones, and heals it."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.testbed.proxy import TcpProxy


@pytest.fixture
def echo() -> Iterator[int]:
    """Yield the port of a server that sends back what it gets."""

    def serve(connection: socket.socket) -> None:
        with connection, suppress(ConnectionResetError):
            while data := connection.recv(65536):
                connection.sendall(data)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=[connection], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.fixture
def proxy(echo: int) -> Iterator[TcpProxy]:
    """Yield a proxy before the echo server."""
    with TcpProxy("127.0.0.1", echo) as started:
        yield started


@pytest.fixture
def client(proxy: TcpProxy) -> Iterator[socket.socket]:
    """Yield a connection through the proxy that has carried bytes already."""
    with connect(proxy) as connection:
        assert round_trip(connection) < 1
        yield connection


def connect(proxy: TcpProxy, timeout: float = 10) -> socket.socket:
    """Open a connection through the proxy."""
    return socket.create_connection((proxy.host, proxy.port), timeout)


def round_trip(connection: socket.socket, text: bytes = b"ping") -> float:
    """Send bytes, get them back whole, and return the seconds that took."""
    started = time.monotonic()
    connection.sendall(text)
    got = b""
    while len(got) < len(text):
        got += connection.recv(65536)
    assert got == text
    return time.monotonic() - started


def test_many_bytes_come_through_whole(client: socket.socket) -> None:
    """A megabyte comes back as it was sent."""
    threading.Thread(target=client.sendall, args=[b"0123456789abcdef" * 65536]).start()
    got = b""
    while len(got) < 1 << 20:
        got += client.recv(65536)
    assert got == b"0123456789abcdef" * 65536


def test_a_delay_is_that_of_a_round_trip(proxy: TcpProxy, client: socket.socket) -> None:
    """A round trip takes the delay longer, on an old connection too, and no longer once healed."""
    proxy.delay_seconds = 0.4
    assert 0.4 <= round_trip(client) < 0.8
    proxy.heal()
    assert round_trip(client) < 0.2


def test_jitter_varies(proxy: TcpProxy, client: socket.socket) -> None:
    """With jitter, round trips differ, and none is longer than the jitter."""
    proxy.jitter_seconds = 0.2
    seconds = [round_trip(client) for _ in range(10)]
    assert max(seconds) < 0.4
    assert max(seconds) - min(seconds) > 0.03


def test_healing_sends_what_was_delayed_at_once(proxy: TcpProxy, client: socket.socket) -> None:
    """Bytes under way when the delay ends arrive then, not when they would have."""
    proxy.delay_seconds = 60
    client.sendall(b"late")
    proxy.heal()
    client.settimeout(5)
    assert client.recv(100) == b"late"


@pytest.mark.parametrize("mode", ["black_hole", "accept_then_stall"])
def test_a_stall_keeps_bytes_and_lets_them_go(proxy: TcpProxy, client: socket.socket, mode: str) -> None:
    """While it stalls nothing arrives; once healed what was sent does."""
    getattr(proxy, mode)()
    client.sendall(b"kept")
    client.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.recv(100)
    proxy.heal()
    client.settimeout(5)
    assert client.recv(100) == b"kept"
    assert round_trip(client) < 0.2


def test_a_black_hole_answers_no_new_connection(proxy: TcpProxy) -> None:
    """A connect runs into its own time-out, and works again once healed."""
    proxy.black_hole()
    with pytest.raises(TimeoutError):
        connect(proxy, 0.5)
    proxy.heal()
    with connect(proxy) as connection:
        assert round_trip(connection) < 0.2


def test_an_accepting_stall_connects_at_once(proxy: TcpProxy) -> None:
    """A probe that only connects sees nothing of a proxy that accepts and stalls."""
    proxy.accept_then_stall()
    with connect(proxy, 0.5) as connection:
        connection.sendall(b"kept")
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(100)


def test_refusing_resets_and_refuses(proxy: TcpProxy, client: socket.socket) -> None:
    """Refusing cuts the connections there are and takes no new one, until it heals."""
    proxy.refuse()
    with pytest.raises(ConnectionResetError):
        client.recv(100)
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.heal()
    with connect(proxy) as connection:
        assert round_trip(connection) < 0.2


def test_modes_follow_each_other(proxy: TcpProxy) -> None:
    """Any mode may follow any other."""
    for _ in range(2):
        proxy.black_hole()
        proxy.refuse()
        proxy.accept_then_stall()
        proxy.black_hole()
    proxy.heal()
    with connect(proxy) as connection:
        assert round_trip(connection) < 0.2


def test_the_end_of_one_side_reaches_the_other(client: socket.socket) -> None:
    """A client's end of file comes to the server, whose own ends the connection."""
    client.shutdown(socket.SHUT_WR)
    assert client.recv(100) == b""


def test_a_url_leads_through_the_proxy(proxy: TcpProxy) -> None:
    """Only host and port change in a URL."""
    assert proxy.url("postgresql://u:p%40@db.example:5432/x?a=b") == (
        f"postgresql://u:p%40@127.0.0.1:{proxy.port}/x?a=b"
    )


def test_a_dead_target_breaks_the_connection() -> None:
    """When nobody listens behind the proxy, a client is reset, and the proxy lives on."""
    with TcpProxy("127.0.0.1", 1) as proxy:
        for _ in range(2):
            with connect(proxy) as connection, pytest.raises(ConnectionResetError):
                connection.recv(100)
