"""The newest promtool (Prometheus 3) and amtool accept what the oldest do; both are built once, which takes minutes."""

import subprocess
from pathlib import Path

import pytest

from tests.testbed.cache import go_build

HERE = Path(__file__).parent
CONFIG = HERE.parents[1] / "config"

pytestmark = pytest.mark.timeout(1200)


def succeed(*command: str | Path) -> str:
    """Run a tool in config/; its output, which is also what the test shows when it fails."""
    done = subprocess.run(command, cwd=CONFIG, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def promtool() -> Path:
    """Build promtool without service discovery, which would take four times as long."""
    return go_build(HERE, "promtool", tags=["remove_all_sd"], package="github.com/prometheus/prometheus/cmd/promtool")


@pytest.fixture(scope="module")
def amtool() -> Path:
    """Build amtool."""
    return go_build(HERE, "amtool", package="github.com/prometheus/alertmanager/cmd/amtool")


def test_prometheus_3_loads_configuration_and_rules(promtool: Path) -> None:
    """The files are valid, and every rule is found."""
    assert "rules found" in succeed(promtool, "check", "config", "prometheus.yaml")
    succeed(promtool, "check", "rules", "--lint=all", "--lint-fatal", "alerts.yaml")


def test_the_unit_tests_pass_in_prometheus_3(promtool: Path) -> None:
    """Ranges are open to the left there, which moves rates a little."""
    assert "SUCCESS" in succeed(promtool, "test", "rules", "alerts_test.yaml")


def test_the_newest_amtool_accepts_the_routes(amtool: Path) -> None:
    """Configuration and routes by severity."""
    succeed(amtool, "check-config", "alertmanager.yaml")
    route = (amtool, "config", "routes", "test", "--config.file=alertmanager.yaml", "alertname=RiverCompleterBudget")
    assert succeed(*route, "severity=critical", "--verify.receivers=pager")
