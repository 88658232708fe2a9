"""What is served at which path: a request's method, path and headers in, a response out; no sockets, no waiting."""

from __future__ import annotations

import base64
import gzip
import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from types import MappingProxyType

from prometheus_client.exposition import gzip_accepted
from prometheus_client.registry import CollectorRegistry

from exporter.logs.masking import mask
from exporter.metrics.exposition import Exposition

log = logging.getLogger(__name__)

HEALTHY, READY, RELOAD, STATUS_DATA, STATUS_PAGE = "/-/healthy", "/-/ready", "/-/reload", "/status.json", "/"
# Served without credentials: a kubelet's probe has none to give.
OPEN_PATHS = frozenset({HEALTHY, READY})
# Below this a compressed body is hardly smaller.
_MIN_GZIP = 1024


@dataclass(frozen=True)
class Routes:
    """What the server asks of the application; every callable only reads memory.

    Args:
        metrics: what is exposed at `telemetry_path`.
        telemetry_path: where; it wins over the other pages when it is one of theirs.
        healthy: whether the program makes progress, and the reason. `category: details` shows an unauthenticated
            client only the category where the server requires credentials, because probes send none.
        ready: whether there is something to be scraped, and the reason in the same form.
        reload: reads the configuration again at `POST /-/reload`; None when that is not enabled.
        status_page: the HTML of `/`. It may hold data: images, and what `status_scripts` and `status_styles` name.
        status_data: the JSON of `/status.json`, None when there is none.
        status_scripts: the inline scripts of the status page, exactly what stands between their tags: the browser
            runs these and no others.
        status_styles: its inline style sheets, likewise.
    """

    metrics: CollectorRegistry
    telemetry_path: str
    healthy: Callable[[], tuple[bool, str]]
    ready: Callable[[], tuple[bool, str]]
    reload: Callable[[], None] | None
    status_page: Callable[[], str]
    status_data: Callable[[], bytes] | None = None
    status_scripts: tuple[str, ...] = ()
    status_styles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Response:
    """A response before it is put into bytes."""

    status: HTTPStatus
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def plain(status: HTTPStatus, text: str, **headers: str) -> Response:
    """A line of text; an underscore in a header's name stands for its dash."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, f"{text}\n".encode(), headers=named)


class Router:
    """Answers requests from `routes`.

    Args:
        routes: what the application gives.
    """

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._exposition = Exposition(routes.metrics)
        self._pages: dict[str, Callable[[Mapping[str, str], bool], Response]] = {
            STATUS_PAGE: self._status_page,
            HEALTHY: lambda _, unauthenticated: self._state(routes.healthy, unauthenticated),
            READY: lambda _, unauthenticated: self._state(routes.ready, unauthenticated),
        }
        if routes.status_data:
            self._pages[STATUS_DATA] = self._status_data
        self._pages[routes.telemetry_path] = self._metrics
        self.open_paths = OPEN_PATHS - {routes.telemetry_path}
        self._policy = content_security_policy(routes.status_scripts, routes.status_styles)

    def respond(self, method: str, path: str, headers: Mapping[str, str], *, unauthenticated: bool) -> Response:
        """The response to a request.

        Args:
            method: in capitals.
            path: without query.
            headers: names in small letters.
            unauthenticated: the server requires credentials, and this open path is served without.
        """
        if path == RELOAD:
            return self._reload(method)
        page = self._pages.get(path)
        if page is None:
            return plain(HTTPStatus.NOT_FOUND, f"nothing is served here; metrics are at {self._routes.telemetry_path}")
        if method not in ("GET", "HEAD"):
            return plain(HTTPStatus.METHOD_NOT_ALLOWED, "use GET or HEAD", Allow="GET, HEAD")
        try:
            return _compressed(page(headers, unauthenticated), headers.get("accept-encoding", ""))
        except Exception:  # whatever a page's fault is, the server goes on
            log.exception("cannot make a page", extra={"path": path})
            return plain(HTTPStatus.INTERNAL_SERVER_ERROR, "this page failed; the log has the reason")

    def _metrics(self, headers: Mapping[str, str], _unauthenticated: bool) -> Response:
        body, content_type = self._exposition.render(headers.get("accept", ""))
        return Response(HTTPStatus.OK, body, content_type, {"Vary": "Accept"})

    def _status_page(self, _headers: Mapping[str, str], _unauthenticated: bool) -> Response:
        body = self._routes.status_page().encode()
        policy = {"Content-Security-Policy": self._policy}
        return Response(HTTPStatus.OK, body, "text/html; charset=utf-8", policy)

    def _status_data(self, _headers: Mapping[str, str], _unauthenticated: bool) -> Response:
        data = self._routes.status_data
        return Response(HTTPStatus.OK, data() if data else b"", "application/json")

    def _state(self, state: Callable[[], tuple[bool, str]], unauthenticated: bool) -> Response:
        good, reason = state()
        if unauthenticated:
            reason = "OK" if good else reason.partition(":")[0]
        return plain(HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE, reason)

    def _reload(self, method: str) -> Response:
        if method not in ("POST", "PUT"):
            return plain(HTTPStatus.METHOD_NOT_ALLOWED, "use POST", Allow="POST, PUT")
        if self._routes.reload is None:
            return plain(HTTPStatus.FORBIDDEN, "reloading over HTTP is off; enable web.enable_reload")
        try:
            self._routes.reload()
        except Exception as error:  # the old configuration stays, and the caller gets the reason
            log.exception("cannot reload")
            return plain(HTTPStatus.INTERNAL_SERVER_ERROR, mask(f"not reloaded: {error}"))
        return plain(HTTPStatus.OK, "reloaded")


def content_security_policy(scripts: tuple[str, ...] = (), styles: tuple[str, ...] = ()) -> str:
    """The policy of a page that loads nothing: these scripts and styles, data: images, its own server's data."""
    return "; ".join(
        [
            "default-src 'none'",
            f"style-src {_hashes(styles)}",
            f"script-src {_hashes(scripts)}",
            "img-src 'self' data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


def _hashes(texts: tuple[str, ...]) -> str:
    digests = (base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in texts)
    return " ".join(f"'sha256-{each}'" for each in digests) or "'none'"


def _compressed(response: Response, accept_encoding: str) -> Response:
    vary = ", ".join(filter(None, [response.headers.get("Vary", ""), "Accept-Encoding"]))
    headers = {**response.headers, "Vary": vary}
    body = response.body
    if len(body) >= _MIN_GZIP and gzip_accepted(accept_encoding):
        # Level 1: a tenth of a millisecond for 60 kB, and still a twelfth of the size.
        body = gzip.compress(body, 1, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(response.status, body, response.content_type, headers)
