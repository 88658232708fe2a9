"""Fetches a metrics page of River's process within a deadline, whatever the server does.

A thread does the fetching, because no timeout of a socket ends a server that trickles a byte of its headers a second.
While one is still at it no second one is started, unless it is long over its deadline; never more than two hang.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from exporter.collectors.pools.request import RequestError, prepare
from exporter.config.pool import Pool
from exporter.errors import ExporterError
from exporter.logs.masking import mask
from exporter.postgres.sessions import one_line

if TYPE_CHECKING:
    import requests

MOST_BYTES = 4 * 1024 * 1024
"""A page larger than this is refused: River's has some kilobytes."""

GRACE = 5.0
"""Seconds after the deadline from which a fetch that still hangs is abandoned."""

MOST_THREADS = 2
"""Fetches of one page that may hang at the same time; what they hold is a thread and a socket each."""


class PageError(ExporterError):
    """The page could not be fetched; the message has the reason."""


class Page:
    """One URL.

    Args:
        deadline: seconds a fetch may take as a whole.
        grace: seconds after its deadline from which a fetch that still hangs is abandoned.
        pool: how it is asked.
    """

    def __init__(self, url: str, deadline: float, grace: float = GRACE, pool: Pool | None = None) -> None:
        self.url = url
        self.pool = pool or Pool()
        self._deadline = deadline
        self._grace = grace
        self._fetches: list[_Fetch] = []
        self._hangs = False

    def start(self) -> None:
        """Begin a fetch, unless the last one still hangs and is not abandoned, or as many hang as may."""
        now = time.monotonic()
        self._fetches = [fetch for fetch in self._fetches if fetch.is_alive()]
        last = self._fetches[-1].ends + self._grace if self._fetches else now
        self._hangs = len(self._fetches) >= MOST_THREADS or now < last
        if not self._hangs:
            self._fetches.append(_Fetch(self.url, self._deadline, self.pool))
            self._fetches[-1].start()

    def finish(self, ends: float) -> str:
        """The page's text, waited for until `ends` (monotonic seconds).

        Raises:
            PageError: there is none.
        """
        if self._hangs:
            raise PageError(f"{mask(self.url)}: the last request still hangs")
        if not self._fetches:
            raise PageError(f"{mask(self.url)}: not fetched yet")
        last = self._fetches[-1]
        last.join(max(0.0, ends - time.monotonic()))
        result = last.result  # read once: a late one may come in meanwhile
        if isinstance(result, PageError):
            raise result
        return result


class _Fetch(threading.Thread):
    """One attempt, whose result is no longer read once it is abandoned; `ends` in monotonic seconds."""

    def __init__(self, url: str, deadline: float, pool: Pool) -> None:
        super().__init__(name="page", daemon=True)
        self.url, self.pool = url, pool
        self.ends = time.monotonic() + deadline
        self._deadline = deadline
        self.result: str | PageError = PageError(f"{mask(url)}: no answer within {deadline:g} s")

    def run(self) -> None:
        """Fetch, whatever happens."""
        import requests  # 6 MB that only those pay who name a page
        from urllib3.exceptions import HTTPError  # what reading a raw body raises

        address = mask(self.url)
        try:
            with requests.Session() as session:
                session.trust_env = False  # the page is a neighbour's: no proxy, no netrc
                prepare(session, self.pool)
                with session.get(
                    self.url,
                    timeout=self._deadline,
                    stream=True,
                    headers={"Accept": "text/plain", "Accept-Encoding": "identity"},
                    allow_redirects=False,
                ) as response:
                    self.result = self._read(response)
        except PageError as error:
            self.result = error
        except RequestError as error:
            self.result = PageError(f"{address}: {error}")
        except requests.exceptions.SSLError as error:
            self.result = PageError(f"{address}: {mask(one_line(error))}; see river.pool.tls_config")
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            self.result = PageError(f"{address}: {mask(one_line(error))}")

    def _read(self, response: requests.Response) -> str:
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
            if time.monotonic() > self.ends:
                raise PageError(f"{address}: not whole within {self._deadline:g} s")
        return text.decode("utf-8", "replace")
