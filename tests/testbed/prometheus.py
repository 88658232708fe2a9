"""Throw-away Prometheus and Alertmanager servers, and their command-line tools."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import requests
import yaml

from tests.testbed.debian import debian_program, unpacked_folder
from tests.testbed.process import Server, ServerFailed, Started, free_port, remove_folder, temporary_folder, wait_for

PROMETHEUS_VERSIONS = (2, 42), (4,)
"""The oldest that will do (``keep_firing_for``) and the first that is not known to work."""

ALERTMANAGER_VERSIONS = (0, 25), (1,)
"""The same for Alertmanager."""


def prometheus_program() -> Path:
    """Return Prometheus: the machine's, else Debian's package."""
    return debian_program("prometheus", ["prometheus"], *PROMETHEUS_VERSIONS)


def promtool() -> Path:
    """Return promtool, which checks rules, runs their tests and lints metrics."""
    return debian_program("prometheus", ["promtool"], *PROMETHEUS_VERSIONS)


def alertmanager_program() -> Path:
    """Return Alertmanager: the machine's, else Debian's package."""
    return _of_alertmanager("alertmanager", "prometheus-alertmanager")


def amtool() -> Path:
    """Return amtool, which checks Alertmanager's configuration and its routes."""
    return _of_alertmanager("amtool")


def _of_alertmanager(*names: str) -> Path:
    return debian_program("prometheus-alertmanager", names, *ALERTMANAGER_VERSIONS, finish=_make_relative)


def _make_relative(folder: Path) -> None:
    """Let an unpacked Alertmanager find its templates below its working folder.

    Debian's build has them outside the program, at a fixed path, and no flag for it. Without its first slash
    and with one at its end, that path is as long as before, and relative.
    """
    program = folder / "usr" / "bin" / "prometheus-alertmanager"
    fixed, relative = b"/usr/share/prometheus/alertmanager", b"usr/share/prometheus/alertmanager/"
    program.write_bytes(program.read_bytes().replace(fixed, relative))


class Sample(NamedTuple):
    """One element of an instant vector; `time` in Unix seconds."""

    labels: dict[str, str]
    value: float
    time: float


class Series(NamedTuple):
    """One element of a range vector; points are (Unix seconds, value)."""

    labels: dict[str, str]
    points: list[tuple[float, float]]


class _WebServer(Started):
    """What Prometheus and Alertmanager have in common: a folder, a port, ``/-/ready`` and ``/-/reload``."""

    def __init__(self, name: str) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.address}"
        self.folder = temporary_folder(name)
        self._http = requests.Session()
        self._http.trust_env = False  # no proxy between us and 127.0.0.1
        self.server: Server

    def start(self) -> None:
        """Start the server and wait until it is ready.

        Raises:
            ServerFailed: it ended (a wrong configuration, say), or isn't ready within 60 s.
        """
        self.server.start()
        wait_for(self._ready, 60, f"{self.server.name} to be ready", self.server, interval=0.05)

    def stop(self) -> None:
        """Stop the server and remove its folder."""
        self.server.stop()
        self._http.close()
        remove_folder(self.folder)

    close = stop

    def pause(self) -> None:
        """Halt the process (SIGSTOP)."""
        self.server.pause()

    def resume(self) -> None:
        """Let a halted process run on."""
        self.server.resume()

    def reload(self) -> None:
        """Have the configuration read again.

        Raises:
            ServerFailed: the server refuses it, with its reason.
        """
        self._checked(self._http.post(f"{self.url}/-/reload", timeout=30))

    def get(self, path: str, **parameters: str | float) -> Any:
        """Return the decoded answer of the HTTP API."""
        return self._checked(self._http.get(f"{self.url}{path}", params=parameters, timeout=30)).json()

    def _checked(self, answer: requests.Response) -> requests.Response:
        if not answer.ok:
            raise ServerFailed(f"{self.server.name}: HTTP {answer.status_code}: {answer.text.strip()[:500]}")
        return answer

    def _ready(self) -> bool:
        try:
            return self._http.get(f"{self.url}/-/ready", timeout=5).ok
        except requests.RequestException:
            return False


class Prometheus(_WebServer):
    """One Prometheus server; entering starts it, leaving removes it and its data."""

    def __init__(
        self,
        config: Path | None = None,
        *,
        targets: Mapping[str, Sequence[str]] | Sequence[str] = (),
        rules: Sequence[Path] = (),
        scrape_interval: str = "1s",
        alertmanagers: Sequence[str] = (),
        program: Path | None = None,
    ) -> None:
        """Fetch the program and write the configuration; nothing is started yet.

        Args:
            config: A configuration file, taken as it is; the other arguments don't count then.
            targets: ``host:port`` by job; without jobs, all are of job ``river-exporter``.
            rules: Rule files.
            scrape_interval: Also how often rules are evaluated.
            alertmanagers: ``host:port`` of Alertmanagers.
            program: Another Prometheus than that of `prometheus_program`.

        Raises:
            PartMissing: Prometheus can't be had here.
        """
        program = program or prometheus_program()
        super().__init__("prometheus")
        if config is None:
            jobs = targets if isinstance(targets, Mapping) else {"river-exporter": targets}
            config = self.folder / "prometheus.yaml"
            document = _configuration(jobs, rules, scrape_interval, alertmanagers)
            config.write_text(yaml.safe_dump(document, sort_keys=False))
        options = {
            "config.file": config.absolute(),
            "storage.tsdb.path": self.folder / "data",
            "web.listen-address": self.address,
            # Alertmanagers are known some 5 s after the start; what fired before is else sent after 1 min.
            "rules.alert.resend-delay": "5s",
        }
        argv: list[str | Path] = [
            program,
            "--web.enable-lifecycle",
            *(f"--{name}={value}" for name, value in options.items()),
        ]
        self.server = Server("prometheus", argv, log=self.folder / "prometheus.log", cwd=self.folder)

    def query(self, expression: str, at: float | None = None) -> list[Sample]:
        """Return an instant vector (of a scalar: one sample without labels), now or at a Unix time.

        Raises:
            ServerFailed: Prometheus refuses the expression.
        """
        data = self.get("/api/v1/query", query=expression, time=time.time() if at is None else at)["data"]
        if data["resultType"] == "scalar":
            moment, value = data["result"]
            return [Sample({}, float(value), float(moment))]
        return [
            Sample(element["metric"], float(element["value"][1]), float(element["value"][0]))
            for element in data["result"]
        ]

    def range(self, expression: str, start: float, end: float, step: float = 1.0) -> list[Series]:
        """Return a range vector between two Unix times, one point each `step` seconds."""
        data = self.get("/api/v1/query_range", query=expression, start=start, end=end, step=step)["data"]
        return [
            Series(element["metric"], [(float(moment), float(value)) for moment, value in element["values"]])
            for element in data["result"]
        ]

    def alerts(self) -> list[dict[str, Any]]:
        """Return the pending and firing alerts as the API gives them (``labels``, ``state``, ``activeAt``, …)."""
        found: list[dict[str, Any]] = self.get("/api/v1/alerts")["data"]["alerts"]
        return found

    def targets(self) -> list[dict[str, Any]]:
        """Return the active targets as the API gives them (``labels``, ``health``, ``lastError``, …)."""
        found: list[dict[str, Any]] = self.get("/api/v1/targets", state="active")["data"]["activeTargets"]
        return found


def _configuration(
    jobs: Mapping[str, Sequence[str]], rules: Sequence[Path], interval: str, alertmanagers: Sequence[str]
) -> dict[str, Any]:
    document: dict[str, Any] = {
        "global": {
            "scrape_interval": interval,
            "scrape_timeout": interval,
            "evaluation_interval": interval,
        },
        "rule_files": [str(path.absolute()) for path in rules],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": list(addresses)}]} for job, addresses in jobs.items()
        ],
    }
    if alertmanagers:
        document["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": list(alertmanagers)}]}]}
    return document


class Alertmanager(_WebServer):
    """One Alertmanager without peers; entering starts it, leaving removes it and its data."""

    def __init__(self, config: Path) -> None:
        """Fetch the program; nothing is started yet.

        Args:
            config: Its configuration file.

        Raises:
            PartMissing: Alertmanager can't be had here.
        """
        program = alertmanager_program()
        super().__init__("alertmanager")
        options = {
            "config.file": config.absolute(),
            "storage.path": self.folder / "data",
            "web.listen-address": self.address,
            "cluster.listen-address": "",
        }
        argv: list[str | Path] = [program, *(f"--{name}={value}" for name, value in options.items())]
        cwd = unpacked_folder(program) or self.folder  # see _make_relative
        self.server = Server("alertmanager", argv, log=self.folder / "alertmanager.log", cwd=cwd)

    def alerts(self) -> list[dict[str, Any]]:
        """Return its alerts as the API gives them (``labels``, ``annotations``, ``status``, …)."""
        found: list[dict[str, Any]] = self.get("/api/v2/alerts")
        return found
