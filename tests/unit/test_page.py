"""River's metrics page: whatever its server does, the page is there or dropped within the deadline, with a reason."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from contextlib import suppress
from typing import cast

import pytest

from exporter.collectors.pools.page import MOST_BYTES, MOST_THREADS, Page, PageError
from tests.pages import Handler, Serve, answer, trickle
from tests.testbed.process import free_port, wait_for

DEADLINE = 0.5


def fetch(url: str) -> str:
    """Fetch a page once; neither success nor failure may take much longer than the deadline."""
    page = Page(url, DEADLINE)
    began = time.monotonic()
    page.start()
    try:
        return page.finish(began + DEADLINE)
    finally:
        assert time.monotonic() - began < DEADLINE + 1


def reason(url: str) -> str:
    """Why a page was dropped: one line that names it."""
    with pytest.raises(PageError) as caught:
        fetch(url)
    message = str(caught.value)
    assert message.startswith(f"{url}: ")
    assert "\n" not in message
    return message.removeprefix(f"{url}: ")


def test_a_page_is_fetched(serve: Serve) -> None:
    """Whole, also in chunks as Go sends a large one; compression is not asked for."""
    text = "pgxpool_max_conns 10\n" * 1000
    server = serve(answer(text.encode()))
    assert fetch(server.url) == text
    assert b"accept-encoding: identity" in server.requests[0].lower()
    body = text.encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:5000], body[5000:]))
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert fetch(serve(lambda client: client.sendall(head + chunks + b"0\r\n\r\n")).url) == text


def test_a_dead_page_is_dropped() -> None:
    """Nobody listens, or the name is none."""
    assert "Connection refused" in reason(f"http://127.0.0.1:{free_port()}/metrics")
    assert "resol" in reason("http://nowhere.invalid/metrics").lower()


@pytest.mark.parametrize("status", ["500 Internal Server Error", "404 Not Found", "204 No Content", "302 Found"])
def test_a_page_that_is_not_200_is_dropped(serve: Serve, status: str) -> None:
    """A redirect is not followed: it could lead anywhere."""
    assert reason(serve(answer(b"", status, Location="http://127.0.0.1:1/")).url) == f"HTTP status {status[:3]}"


def test_a_server_that_says_nothing_is_dropped(serve: Serve) -> None:
    """It accepts, and that is all."""
    release = threading.Event()
    server = serve(lambda _: cast("None", release.wait(20)))
    try:
        assert "within 0.5 s" in reason(server.url)
    finally:
        release.set()


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX-A: ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_a_slow_trickle_is_dropped_within_the_deadline(serve: Serve, head: bytes) -> None:
    """Whether in the status line, in a header or in the body: no time-out of a socket ends it."""
    body = b"HTTP/1.1 200" if not head else b"1" if b"chunked" in head else b"x"
    assert "within 0.5 s" in reason(serve(trickle(head, body, 0.05)).url)


def slow_until(quick: threading.Event) -> Handler:
    """Trickle headers for ever to whoever asks before `quick` is set, answer at once after it."""

    def handler(client: socket.socket) -> None:
        if not quick.is_set():
            trickle(b"HTTP/1.1 200 OK\r\nX-A: ", b"x", 0.05)(client)
        answer(b"ok")(client)

    return handler


def fetched(page: Page) -> bool:
    """Whether the page is there now."""
    page.start()
    try:
        return page.finish(time.monotonic() + DEADLINE) == "ok"
    except PageError:
        return False


def test_one_request_at_a_time_however_slow_the_server(serve: Serve) -> None:
    """While one is still at it no second one is started; once it has ended, the page is there again."""
    quick = threading.Event()
    server = serve(slow_until(quick))
    page = Page(server.url, DEADLINE, grace=60)
    for expected in ("no answer within", "still hangs", "still hangs"):
        page.start()
        with pytest.raises(PageError, match=expected):
            page.finish(time.monotonic() + 0.2)
    assert len(server.requests) == 1
    quick.set()
    for client in server._clients:
        client.shutdown(socket.SHUT_RDWR)
    wait_for(lambda: fetched(page), 10, "the page to be fetched again", interval=0.05)


def test_a_request_that_hangs_beyond_the_grace_is_given_up(serve: Serve) -> None:
    """The page is fetched again and again beside it, though the server still trickles to the first."""
    quick = threading.Event()
    server = serve(slow_until(quick))
    page = Page(server.url, DEADLINE, grace=0.2)
    began = time.monotonic()
    assert not fetched(page)
    quick.set()
    wait_for(lambda: fetched(page), 10, "the page to be fetched beside the one that hangs", interval=0.05)
    assert time.monotonic() - began >= DEADLINE + 0.2
    assert fetched(page)
    assert len(server.requests) == 3


def test_never_more_than_two_requests_hang(serve: Serve) -> None:
    """However long it lasts; when one of them ends, there is room for the next."""
    quick = threading.Event()
    server = serve(slow_until(quick))
    page = Page(server.url, 0.1, grace=0.0)

    def refused() -> bool:
        page.start()
        with pytest.raises(PageError) as caught:
            page.finish(time.monotonic() + 0.1)
        return len(server.requests) == MOST_THREADS == 2 and "still hangs" in str(caught.value)

    wait_for(refused, 10, "two requests to hang")
    for _ in range(20):
        assert refused()
    quick.set()
    server._clients[0].shutdown(socket.SHUT_RDWR)
    wait_for(lambda: fetched(page), 10, "the page to be fetched beside the one that hangs", interval=0.05)


def test_a_hundred_megabytes_are_dropped_long_before_they_are_read(serve: Serve) -> None:
    """Memory must not grow with what a server sends."""
    sent = 0

    def handler(client: socket.socket) -> None:
        nonlocal sent
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")
        for _ in range(1600):
            sent += client.send(b"x" * 65536)

    assert reason(serve(handler).url) == f"more than {MOST_BYTES} bytes"
    assert sent < 5 * MOST_BYTES


def test_a_gzip_bomb_is_never_unpacked(serve: Serve) -> None:
    """A body that is compressed although it was not asked to be is no page."""
    bomb = gzip.compress(b"x" * 50_000_000)
    assert reason(serve(answer(bomb, Content_Encoding="gzip")).url) == "compressed although asked not to be"
    assert fetch(serve(answer(bomb)).url) != "x" * 50_000_000  # unlabelled, it is just bytes


@pytest.mark.parametrize(
    "bytes_sent",
    [
        b"nonsense\r\n\r\n",
        b"\x00\xff\xfe",
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nnothing",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n",
    ],
)
def test_what_is_no_http_is_dropped(serve: Serve, bytes_sent: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """Cut off, broken or too many headers: a reason, and no traceback of a thread."""
    server = serve(lambda client: client.sendall(bytes_sent))
    if b"many" in bytes_sent:
        with suppress(PageError):  # an unreadable length is none: the body then ends with the connection
            fetch(server.url)
    else:
        assert "no answer within" not in reason(server.url)
    assert "Traceback" not in capsys.readouterr().err


def test_no_proxy_of_the_environment_stands_between(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """River's process is in the same pod, whatever HTTP_PROXY a cluster sets for everybody."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert fetch(serve(answer(b"ok")).url) == "ok"


def test_a_password_in_the_address_is_not_in_the_reason(serve: Serve) -> None:
    """It is sent, and masked in what is said."""
    server = serve(answer(b"", "500 Broken"))
    url = server.url.replace("//", "//river:secret123@")
    with pytest.raises(PageError) as caught:
        fetch(url)
    assert "secret123" not in str(caught.value)
    assert b"authorization: basic" in server.requests[0].lower()
    with pytest.raises(PageError) as caught:
        fetch(f"http://river:secret123@127.0.0.1:{free_port()}/metrics")
    assert "secret123" not in str(caught.value)
