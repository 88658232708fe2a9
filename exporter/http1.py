"""HTTP/1.1 as far as a metrics server needs it: one request's head from a socket, one response onto it.

Everything that comes from a client is bounded: bytes of a head, number of headers, and the time for all of it. No
request body is ever read.
"""

from __future__ import annotations

import http.client
import io
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import BinaryIO
from urllib.parse import urlsplit

from exporter.routes import Response

# Bytes of a request's line and headers together; a scraper's are under one thousand.
MAX_HEAD = 16 * 1024
_MAX_LINE = 8 * 1024
_REQUEST_LINE = re.compile(rb"([A-Z]{1,16}) ([!-~]{1,8192}) HTTP/1\.([01])\r?\n")


class BadRequest(Exception):  # noqa: N818 - the status' own name
    """What came is no request that is served; the connection ends after the answer."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


class ConnectionEnded(Exception):  # noqa: N818 - it is no error
    """The client closed the connection, or said nothing for too long."""


class Stream(io.RawIOBase):
    """A socket with one deadline for whatever is done with it, and a budget of bytes to read.

    Args:
        sock: plain or TLS.
    """

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self._sock = sock
        self._deadline = 0.0
        self._budget = 0

    def allow(self, seconds: float, budget: int = 0) -> None:
        """From now on there are `seconds` for everything and `budget` bytes to read, until allowed anew."""
        self._deadline = time.monotonic() + seconds
        self._budget = budget

    def readable(self) -> bool:
        """It is read through a buffer."""
        return True

    def readinto(self, buffer: object) -> int:
        """Read what is there; raises TimeoutError at the deadline and BadRequest past the budget."""
        view = memoryview(buffer)[: self._budget]  # type: ignore[arg-type]  # typeshed's name for it is private
        if not view:
            raise BadRequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the request is over {MAX_HEAD} bytes")
        self._sock.settimeout(self._remaining())
        count = self._sock.recv_into(view)
        self._budget -= count
        return count

    def send(self, data: bytes) -> None:
        """Send all of `data`; raises TimeoutError at the deadline."""
        view = memoryview(data)
        while view:
            self._sock.settimeout(self._remaining())
            view = view[self._sock.send(view) :]

    def _remaining(self) -> float:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        return remaining


@dataclass(frozen=True)
class Request:
    """A request's head: names of headers in small letters, a repeated one joined by commas."""

    method: str
    path: str
    headers: Mapping[str, str]
    keep_alive: bool
    has_body: bool


def read_request(reader: BinaryIO) -> Request:
    """The next request.

    Raises:
        BadRequest: it is malformed or too large.
        ConnectionEnded: there is none, or only a part of one.
        OSError: the connection broke, or its deadline passed.
    """
    line = reader.readline(_MAX_LINE + 1)
    if not line.endswith(b"\n"):
        if len(line) > _MAX_LINE:
            raise BadRequest(HTTPStatus.REQUEST_URI_TOO_LONG, f"the request line is over {_MAX_LINE} bytes")
        raise ConnectionEnded
    match = _REQUEST_LINE.fullmatch(line)
    if not match:
        raise BadRequest(HTTPStatus.BAD_REQUEST, "not an HTTP/1.1 request")
    method, target, minor = match[1].decode(), match[2].decode(), match[3]
    try:
        parsed = http.client.parse_headers(reader)
        path = urlsplit(target).path
    except (http.client.HTTPException, ValueError):
        raise BadRequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "too many headers, or one is too long") from None
    if parsed.defects:
        raise BadRequest(HTTPStatus.BAD_REQUEST, "a header is malformed")
    headers = {name.lower(): ", ".join(parsed.get_all(name, ())) for name in parsed}
    tokens = {token.strip().lower() for token in headers.get("connection", "").split(",")}
    asked = "close" not in tokens if minor == b"1" else "keep-alive" in tokens
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    # A body is not read, so what follows it could not be told from it.
    return Request(method, path, headers, asked and not has_body, has_body)


def encode(response: Response, extra: Mapping[str, str], *, keep_alive: bool, body: bool) -> bytes:
    """A response as bytes.

    Args:
        response: what to send; its own headers win over `extra`.
        extra: headers of every response.
        keep_alive: whether the connection goes on.
        body: False for HEAD, which has the headers only.
    """
    headers = {
        "Date": formatdate(usegmt=True),
        "Content-Type": response.content_type,
        "Content-Length": str(len(response.body)),
        "Connection": "keep-alive" if keep_alive else "close",
        **extra,
        **response.headers,
    }
    lines = [f"HTTP/1.1 {response.status.value} {response.status.phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join([*lines, "", ""]).encode("ascii")
    return head + response.body if body else head
