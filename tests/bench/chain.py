"""The whole chain behind the exporter: Prometheus with our rules, Alertmanager with our routes, and who is woken up."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.testbed.exporter import Exporter
from tests.testbed.process import temporary_folder
from tests.testbed.prometheus import Alertmanager, Prometheus

if TYPE_CHECKING:
    from tests.bench.precursor import Result

CONFIG = Path(__file__).parents[2] / "config"
INTERVAL = "10s"
"""Of scrapes and of evaluations."""

RESOLVE_PATIENCE = 600.0
"""Seconds that a page may take to resolve: the window, `keep_firing_for` and Alertmanager's group interval."""


AFTERWARDS = 150.0
"""Seconds to listen on once the page is resolved: no rule that pages looks back further than 2 minutes."""


@dataclass(frozen=True)
class Notification:
    """What a receiver was sent, as Alertmanager's webhook tells it.

    Attributes:
        at: monotonic seconds.
        incident: Alertmanager's group, which a pager takes for one incident however often it is told of it.
    """

    at: float
    receiver: str
    incident: str
    status: str
    alerts: list[dict[str, Any]]

    @property
    def critical(self) -> bool:
        """Whether something critical fires."""
        return self.status == "firing" and any(
            each["labels"].get("severity") == "critical" and each["status"] == "firing" for each in self.alerts
        )


@dataclass
class Receiver:
    """Records notifications over HTTP."""

    notifications: list[Notification] = field(default_factory=list)

    def serve(self, parts: ExitStack) -> str:
        """Start it; returns its address."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.notifications.append(
                    Notification(
                        time.monotonic(), self.path.strip("/"), body["groupKey"], body["status"], body["alerts"]
                    )
                )
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        parts.callback(server.server_close)
        parts.callback(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"


class Chain:
    """Prometheus, Alertmanager and the receiver; or nothing at all, where no alerts are wanted."""

    def __init__(self, receiver: Receiver | None) -> None:
        self.receiver = receiver

    @classmethod
    @contextmanager
    def beside(cls, exporter: Exporter, *, wanted: bool) -> Iterator[Chain]:
        """Start it beside an exporter, with the configuration that ships and the receivers replaced."""
        if not wanted:
            yield cls(None)
            return
        with ExitStack() as parts:
            receiver = Receiver()
            address = receiver.serve(parts)
            folder = temporary_folder("alerts")
            config = folder / "alertmanager.yaml"
            config.write_text(yaml.safe_dump(redirected((CONFIG / "alertmanager.yaml").read_text(), address)))
            alertmanager = parts.enter_context(Alertmanager(config))
            parts.enter_context(
                Prometheus(
                    targets=[f"{exporter.host}:{exporter.port}"],
                    rules=[CONFIG / "alerts.yaml"],
                    scrape_interval=INTERVAL,
                    alertmanagers=[alertmanager.address],
                )
            )
            yield cls(receiver)

    def pages(self) -> list[Notification]:
        """What woke somebody up: the first word of each incident, and of each that came again after it was resolved."""
        opened: set[str] = set()
        found = []
        for each in self.receiver.notifications if self.receiver else []:
            if each.status == "resolved":
                opened.discard(each.incident)
            elif each.critical and each.incident not in opened:
                opened.add(each.incident)
                found.append(each)
        return found

    def told(self) -> bool:
        """Whether there is nothing to wait for: nobody would be told, or somebody was."""
        return self.receiver is None or bool(self.pages())

    def finish(self, result: Result, began: datetime, lifted: float, *, patience: float = RESOLVE_PATIENCE) -> None:
        """Wait at most `patience` seconds until the page is resolved, listen on, and write down what was sent."""
        if self.receiver is None:
            return
        offset = time.monotonic() - (datetime.now(began.tzinfo) - began).total_seconds()
        ends = time.monotonic() + patience
        while self.firing() and time.monotonic() < ends:
            time.sleep(1)
        if patience and self.pages() and not self.firing():
            time.sleep(AFTERWARDS)
        pages = self.pages()
        result.pages = len(pages)
        result.first_told = next((each.at - offset for each in self.receiver.notifications), None)
        result.told = [
            f"{each.at - offset:.0f} s {each.receiver} {each.status}: "
            + ", ".join(sorted(f"{one['labels']['alertname']} {one['labels'].get('severity')}" for one in each.alerts))
            for each in self.receiver.notifications
        ]
        if pages:
            result.paged = pages[0].at - offset
            result.page_cause = next(
                (cause for each in pages[0].alerts if (cause := each["annotations"].get("cause"))), None
            )
        resolved = [each for each in self._critical() if each.status == "resolved" and each.at > lifted]
        if pages and resolved and not self.firing():
            result.resolved = resolved[-1].at - lifted

    def firing(self) -> bool:
        """Whether a page was sent that has not been resolved."""
        last = self._critical()
        return bool(last) and last[-1].status == "firing"

    def _critical(self) -> list[Notification]:
        """What a pager was sent, be it that something fires or that it is resolved."""
        return [
            each
            for each in (self.receiver.notifications if self.receiver else [])
            if any(one["labels"].get("severity") == "critical" for one in each.alerts)
        ]


def redirected(text: str, address: str) -> dict[str, Any]:
    """Alertmanager's configuration with every receiver a webhook of ours, under its own name."""
    document: dict[str, Any] = yaml.safe_load(text)
    document["receivers"] = [
        {"name": each["name"], "webhook_configs": [{"url": f"{address}/{each['name']}", "send_resolved": True}]}
        for each in document["receivers"]
    ]
    document.get("global", {}).clear()
    return document
