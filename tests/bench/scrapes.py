"""Scrapes as Prometheus makes them, timed: one standing connection, OpenMetrics asked for, gzip accepted."""

from __future__ import annotations

import gzip
import http.client
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

HEADERS = {
    "Accept": "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
    "Accept-Encoding": "gzip",
    "X-Prometheus-Scrape-Timeout-Seconds": "10",
}


@dataclass
class Scrapes:
    """The seconds of each scrape that was answered, the size of the last body in bytes, and its number of series."""

    seconds: list[float] = field(default_factory=list)
    unanswered: int = 0
    size: int = 0
    compressed: int = 0
    series: int = 0


def scrape(url: str, count: int, pause: float, timeout: float = 10.0) -> Scrapes:
    """Scrape `count` times, `pause` seconds apart; one that has no answer within `timeout` ends it."""
    parts, found = urlsplit(url), Scrapes()
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=timeout)
    body = b""
    try:
        for _ in range(count):
            began = time.perf_counter()
            connection.request("GET", parts.path, headers=HEADERS)
            answer = connection.getresponse()
            body = answer.read()
            found.seconds.append(time.perf_counter() - began)
            found.compressed = len(body)
            if answer.getheader("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            time.sleep(pause)
    except (OSError, http.client.HTTPException):
        found.unanswered = 1
    finally:
        connection.close()
    found.size = len(body)
    found.series = sum(not line.startswith(b"#") for line in body.splitlines())
    return found
