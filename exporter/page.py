"""Fetches a metrics page of River's process within a deadline, whatever the server does.

A thread per page does the fetching, because no timeout of a socket ends a server that trickles a byte a second; while
one is still at it no second one is started.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from exporter.database import one_line
from exporter.errors import ExporterError
from exporter.masking import mask

if TYPE_CHECKING:
    import requests

MOST_BYTES = 4 * 1024 * 1024
"""A page larger than this is refused: River's has some kilobytes."""


class PageError(ExporterError):
    """The page could not be had; the message says why."""


class Page:
    """One URL.

    Args:
        deadline: seconds a fetch may take as a whole.
    """

    def __init__(self, url: str, deadline: float) -> None:
        self.url = url
        self._deadline = deadline
        self._thread: threading.Thread | None = None
        self._result: str | PageError = PageError("not fetched yet")

    def start(self) -> None:
        """Begin a fetch, unless the last one still hangs."""
        if self._thread and self._thread.is_alive():
            self._result = PageError(f"{mask(self.url)}: the last request still hangs")
            return
        self._result = PageError(f"{mask(self.url)}: no answer within {self._deadline:g} s")
        self._thread = threading.Thread(target=self._fetch, args=(time.monotonic() + self._deadline,), daemon=True)
        self._thread.start()

    def finish(self, ends: float) -> str:
        """The page's text, waited for until `ends` (monotonic seconds).

        Raises:
            PageError: there is none.
        """
        if self._thread:
            self._thread.join(max(0.0, ends - time.monotonic()))
        if isinstance(self._result, PageError):
            raise self._result
        return self._result

    def _fetch(self, ends: float) -> None:
        import requests  # 6 MB that only those pay who name a page
        from urllib3.exceptions import HTTPError  # what reading a raw body raises

        address = mask(self.url)
        try:
            with requests.Session() as session:
                session.trust_env = False  # the page is a neighbour's: no proxy, no netrc
                with session.get(
                    self.url,
                    timeout=self._deadline,
                    stream=True,
                    headers={"Accept": "text/plain", "Accept-Encoding": "identity"},
                    allow_redirects=False,
                ) as response:
                    self._result = self._read(response, ends)
        except PageError as error:
            self._result = error
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            self._result = PageError(f"{address}: {mask(one_line(error))}")

    def _read(self, response: requests.Response, ends: float) -> str:
        address = mask(self.url)
        if response.status_code != 200:
            raise PageError(f"{address}: HTTP status {response.status_code}")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise PageError(f"{address}: compressed although asked not to be")
        text = bytearray()
        while chunk := response.raw.read1(65536):
            text += chunk
            if len(text) > MOST_BYTES:
                raise PageError(f"{address}: more than {MOST_BYTES} bytes")
            if time.monotonic() > ends:
                raise PageError(f"{address}: not whole within {self._deadline:g} s")
        return text.decode("utf-8", "replace")
