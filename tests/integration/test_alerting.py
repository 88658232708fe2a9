"""Alerts in the real Prometheus and Alertmanager: accepted, routed, muted, and one page per incident."""

import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from tests.bench.chain import Notification, Receiver, redirected
from tests.testbed.process import wait_for
from tests.testbed.prometheus import Alertmanager, Prometheus, amtool, promtool

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"

FASTER = 30
"""How many times faster than real time the alerts' waiting runs here."""


def succeed(*command: str | Path) -> str:
    """Run a tool in config/; its output, which is also what the test shows when it fails."""
    done = subprocess.run(command, cwd=CONFIG, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_prometheus_accepts_the_configuration_and_the_rules() -> None:
    """Both are valid, and lint finds nothing."""
    assert "SUCCESS" in succeed(promtool(), "check", "config", "prometheus.yaml")
    assert "SUCCESS" in succeed(promtool(), "check", "rules", "--lint=all", "--lint-fatal", "alerts.yaml")


@pytest.mark.timeout(900)  # a minute of CPU time, most of it for the windows of days
def test_the_unit_tests_of_the_rules_pass() -> None:
    """Every alert fires, stays silent just below, outlives a failed scrape and a restart, and resolves."""
    assert "SUCCESS" in succeed(promtool(), "test", "rules", "alerts_test.yaml")


def test_a_changed_rule_fails_its_unit_tests(tmp_path: Path) -> None:
    """The tests can fail: with the signal of now taken out, a lock of 6 s pages."""
    text = (CONFIG / "alerts.yaml").read_text()
    changed = text.replace(
        "0.7 * namespace:river_completer_timeout_seconds:min", "0 * namespace:river_completer_timeout_seconds:min"
    )
    assert changed != text
    (tmp_path / "alerts.yaml").write_text(changed)
    tests = yaml.safe_load((CONFIG / "alerts_test.yaml").read_text())
    tests["tests"] = [test for test in tests["tests"] if "A lock of 6 s" in test["name"]]
    assert len(tests["tests"]) == 1
    (tmp_path / "alerts_test.yaml").write_text(yaml.safe_dump(tests, sort_keys=False))
    done = subprocess.run(
        [promtool(), "test", "rules", tmp_path / "alerts_test.yaml"], capture_output=True, check=False
    )
    assert done.returncode == 1
    assert b"RiverCompleterBudget" in done.stdout + done.stderr


def test_alertmanager_accepts_the_configuration() -> None:
    """The routes, inhibitions and receivers are valid, the secrets in files."""
    assert "3 receivers" in succeed(amtool(), "check-config", "alertmanager.yaml")


@pytest.mark.parametrize(("severity", "receiver"), [("critical", "pager"), ("warning", "chat"), ("info", "digest")])
def test_each_severity_goes_to_its_receiver(severity: str, receiver: str) -> None:
    """Every alert is routed by what it asks for."""
    alerts = [
        (rule["alert"], rule["labels"]["stage"])
        for group in yaml.safe_load((CONFIG / "alerts.yaml").read_text())["groups"]
        for rule in group["rules"]
        if rule.get("labels", {}).get("severity") == severity
    ]
    assert alerts
    route = (amtool(), "config", "routes", "test", "--config.file=alertmanager.yaml", f"--verify.receivers={receiver}")
    for alert, stage in dict.fromkeys(alerts):
        succeed(*route, f"alertname={alert}", f"severity={severity}", f"stage={stage}", "namespace=shop")


# --- the chain


class Exporter:
    """Stands in for exporters: serves the samples it is told to."""

    def __init__(self) -> None:
        self.samples: dict[str, float] = {}
        self._lock = threading.Lock()

    def say(self, samples: Mapping[str, float]) -> None:
        """Change or add samples."""
        with self._lock:
            self.samples.update(samples)

    def page(self) -> bytes:
        """The exposition."""
        with self._lock:
            return "".join(f"{series} {value}\n" for series, value in self.samples.items()).encode()

    def serve(self, parts: ExitStack) -> str:
        """Start it; returns its host and port."""
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = exporter.page()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        parts.callback(server.server_close)
        parts.callback(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"127.0.0.1:{server.server_address[1]}"


def faster(text: str, *keys: str) -> str:
    """Divide the durations of these keys, so that minutes of waiting pass in seconds; 0s stays."""

    def shorter(match: re.Match[str]) -> str:
        seconds = int(match[2]) * {"s": 1, "m": 60, "h": 3600}[match[3]]
        return f"{match[1]}{max(1, seconds // FASTER) if seconds else 0}s"

    return re.sub(rf"(?m)^(\s+(?:{'|'.join(keys)}): )(\d+)([smh])$", shorter, text)


SCHEMA = 'schema="public"'
BUDGET = 'river_completer_budget_seconds{%s,cause="%s"}'
STATE = 'river_completer_state{%s,state="%s"}'
CAUSE = 'river_completer_cause{%s,cause="%s"}'


def attempt(stall: float = 0.1, state: str = "ok", **seconds: float) -> dict[str, float]:
    """The samples of an exporter whose worst attempt took so long per cause, and whose present one `stall` seconds."""
    causes = {"pool": 0.0, "network": 0.1, "lock": 0.0, "execution": 0.1, "storage": 0.0, **seconds}
    dominant = max(causes, key=lambda cause: causes[cause])
    return {
        **{STATE % (SCHEMA, each): float(each == state) for each in ("ok", "slow", "stalled", "failing", "unknown")},
        **{CAUSE % (SCHEMA, cause): float(cause == dominant) for cause in causes},
        **{BUDGET % (SCHEMA, cause): value for cause, value in causes.items()},
        f"river_completer_attempt_seconds{{{SCHEMA}}}": stall,
        f'river_lock_wait_seconds{{{SCHEMA},operation="JobSetStateIfRunningMany",blocker="active"}}': causes["lock"],
    }


SETTINGS = {
    "river_completer_timeout_seconds": 10.0,
    'river_completer_threshold_ratio{severity="warning"}': 0.3,
    'river_completer_threshold_ratio{severity="critical"}': 0.5,
    'river_exporter_build_info{version="1"}': 1.0,
    "river_up": 1.0,
    f"river_exporter_is_leader{{{SCHEMA}}}": 1.0,
    f'river_completer_timeouts_total{{{SCHEMA},cause="lock"}}': 0.0,
    f"river_completer_slow_attempts_total{{{SCHEMA}}}": 0.0,
    'river_pool_free_ratio{source="pgxpool"}': 0.8,
    'river_probe_failures_total{reason="refused"}': 0.0,
}


class Chain:
    """A stand-in exporter, Prometheus with our rules, Alertmanager with our routes, and who is told."""

    def __init__(self, parts: ExitStack, folder: Path) -> None:
        self.exporter, self.receiver = Exporter(), Receiver()
        self.exporter.say({**SETTINGS, **attempt()})
        rules = folder / "alerts.yaml"
        rules.write_text(faster((CONFIG / "alerts.yaml").read_text(), "for", "keep_firing_for", "interval"))
        routes = faster((CONFIG / "alertmanager.yaml").read_text(), "group_wait", "group_interval")
        config = folder / "alertmanager.yaml"
        config.write_text(yaml.safe_dump(redirected(routes, self.receiver.serve(parts))))
        alertmanager = parts.enter_context(Alertmanager(config))
        self.prometheus = parts.enter_context(
            Prometheus(
                targets=[self.exporter.serve(parts)],
                rules=[rules],
                alertmanagers=[alertmanager.url.removeprefix("http://")],
            )
        )

    def told(self, receiver: str, status: str) -> list[Notification]:
        """What this receiver was sent so far."""
        return [each for each in self.receiver.notifications if (each.receiver, each.status) == (receiver, status)]

    def state(self, alert: str, severity: str) -> str:
        """`firing`, `pending` or nothing."""
        found = [
            each["state"]
            for each in self.prometheus.alerts()
            if (each["labels"]["alertname"], each["labels"]["severity"]) == (alert, severity)
        ]
        assert len(found) <= 1, found
        return found[0] if found else ""

    def seen(self, expression: str) -> None:
        """Wait until Prometheus has evaluated to something."""
        wait_for(lambda: self.prometheus.query(expression), 20, expression, interval=0.2)


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    """Yield a chain in which all is well."""
    with ExitStack() as parts:
        started = Chain(parts, tmp_path)
        started.seen("namespace_schema:river_completer_budget_used:ratio < 0.1")
        yield started


def steadily(condition: Callable[[], bool], seconds: float) -> None:
    """Check that something holds all the time."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        assert condition()
        time.sleep(0.2)


def test_an_incident_whose_cause_flips_is_one_page_that_names_the_cause_and_resolves(chain: Chain) -> None:
    """From silence to critical, the cause changing to and fro: one notification fires, one resolves, nothing else."""
    ratio = "namespace_schema:river_completer_budget_used:ratio"
    assert not chain.receiver.notifications

    # a lock that heals by itself: the peak is held, the stall is over
    chain.exporter.say(attempt(stall=0.2, lock=6.0))
    chain.seen(f"{ratio} > 0.5")
    assert chain.state("RiverCompleterBudget", "critical") == ""
    chain.exporter.say(attempt())
    chain.seen(f"{ratio} < 0.1")

    chain.exporter.say(attempt(stall=7.5, state="stalled", lock=7.5))
    begun = time.monotonic()
    (page,) = wait_for(lambda: chain.told("pager", "firing"), 20, "the page", interval=0.1)
    assert page.at - begun < 10
    (alert,) = page.alerts
    assert alert["labels"] == {
        "alertname": "RiverCompleterBudget", "severity": "critical", "stage": "symptom", "schema": "public"
    }  # fmt: skip
    assert alert["annotations"]["cause"] == "lock"
    assert "Cause: lock" in alert["annotations"]["summary"]
    assert "lock 7.5 s" in alert["annotations"]["description"]
    assert alert["annotations"]["runbook_url"].endswith("/RiverCompleterBudget.md")

    for cause in ("pool", "lock", "storage", "pool"):
        chain.exporter.say(attempt(stall=9.0, state="stalled", **{"lock": 2.5, cause: 9.0}))
        chain.seen(f'topk(1, namespace_schema_cause:river_completer_budget_seconds:max{{cause="{cause}"}}) > 8')
    wait_for(lambda: chain.state("RiverCompleterLockWait", "warning") == "firing", 30, "the precursor", interval=0.2)
    steadily(lambda: len(chain.told("pager", "firing")) == 1, 6)

    # no attempt is made any more, and then the view is lost: neither is a completion
    for state in ("stalled", "unknown"):
        chain.exporter.say(attempt(state=state))
        chain.seen(f'namespace_schema_state:river_completer_state:max{{state="{state}"}} == 1')
        chain.seen(f"{ratio} < 0.1")
        steadily(lambda: chain.state("RiverCompleterBudget", "critical") == "firing", 15)
    assert not chain.told("pager", "resolved")

    chain.exporter.say(attempt())
    wait_for(lambda: chain.told("pager", "resolved"), 60, "the page to resolve", interval=0.2)
    steadily(lambda: len(chain.told("pager", "resolved")) == 1, 3)
    assert [each.receiver for each in chain.receiver.notifications] == ["pager", "pager"]


def test_a_precursor_alone_is_told_in_the_channel_and_wakes_nobody(chain: Chain) -> None:
    """A pool that runs empty, with completions as fast as ever."""
    chain.exporter.say({'river_pool_free_ratio{source="pgxpool"}': 0.1})
    (told,) = wait_for(lambda: chain.told("chat", "firing"), 40, "the channel to be told", interval=0.2)
    assert [each["labels"]["alertname"] for each in told.alerts] == ["RiverPoolNearlyExhausted"]
    assert "pgxpool" in told.alerts[0]["annotations"]["description"]
    assert not chain.told("pager", "firing")


def test_an_address_that_refuses_is_one_page_that_an_unreachable_database_adds_nothing_to(chain: Chain) -> None:
    """The reason is in the text; the database and a precursor, which fire as well, are muted."""
    chain.exporter.say({'river_probe_failures_total{reason="refused"}': 40.0, "river_up": 0.0})
    (page,) = wait_for(lambda: chain.told("pager", "firing"), 20, "the page", interval=0.1)
    (alert,) = page.alerts
    assert alert["labels"] == {"alertname": "RiverAddressRefused", "severity": "critical", "stage": "symptom"}
    assert alert["annotations"]["summary"].endswith("Reason: refused")
    assert alert["annotations"]["description"].endswith("The database itself does not answer either.")
    chain.exporter.say({'river_pool_free_ratio{source="pgxpool"}': 0.1})
    for name, severity in (("RiverDatabaseUnreachable", "critical"), ("RiverPoolNearlyExhausted", "warning")):
        wait_for(lambda: chain.state(name, severity) == "firing", 30, f"{name} to fire", interval=0.2)  # noqa: B023
    steadily(lambda: len(chain.receiver.notifications) == 1, 6)
