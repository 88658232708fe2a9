"""The status page: state, cause, budget and what was observed around them, without Grafana."""

from __future__ import annotations

import json
from collections.abc import Sequence

from exporter.collectors.context import Context
from exporter.collectors.runner import Runner
from exporter.status import html
from exporter.status.view import as_data, look


class Status:
    """The page and its data, made from memory at each request.

    Args:
        runners: of the collectors.
    """

    def __init__(self, context: Context, runners: Sequence[Runner]) -> None:
        self._context, self._runners = context, runners
        self.scripts, self.styles = (html.script(),), (html.style(),)

    def page(self) -> str:
        """The HTML of `/`."""
        return html.page(look(self._context, self._runners))

    def data(self) -> bytes:
        """The JSON of `/status.json`."""
        view = as_data(look(self._context, self._runners))
        return (json.dumps(view, ensure_ascii=False, separators=(",", ":")) + "\n").encode()
