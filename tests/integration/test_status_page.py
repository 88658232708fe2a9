"""The status page in a real Chromium: every state, no error in the console, usable by everybody."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page

from tests.browser import axe, chromium
from tests.conftest import Database, StartRiver
from tests.testbed.exporter import Exporter
from tests.testbed.faults import FAULTS, Environment
from tests.testbed.process import wait_for
from tests.testbed.proxy import TcpProxy
from tests.testbed.river import River

FAST = {"collectors.jobs.interval": "1s", "collectors.river.interval": "1s", "limits.queues": "200"}
MOST_BYTES = 100_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Yield a Chromium."""
    with chromium() as started:
        yield started


class Visit:
    """A page that somebody looks at, and what the browser complained of meanwhile."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url, self.complaints = page, url, list[str]()
        page.on(
            "console", lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(f"{url}/")

    def text(self, part: str = "main") -> str:
        """What stands in a part of the page now."""
        return self.page.locator(part).inner_text().replace("\N{NO-BREAK SPACE}", " ")

    def shows(self, words: str, part: str = "main", within: float = 20) -> None:
        """Wait until the page, refreshing itself, shows these words."""
        deadline = time.monotonic() + within
        while words not in self.text(part):
            assert time.monotonic() < deadline, self.text(part)
            self.page.wait_for_timeout(100)

    def violations(self) -> list[Any]:
        """What axe-core finds on the page as it is."""
        # evaluated in the page's own world, whose policy lets no other script in
        self.page.evaluate(axe())
        found: list[Any] = self.page.evaluate("axe.run()")["violations"]
        return [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]


Look = Callable[..., Visit]


@pytest.fixture
def look(browser: Browser) -> Iterator[Look]:
    """Yield a function that opens a page, dark or light, wide or narrow, with or without JavaScript."""
    with ExitStack() as pages:

        def open_(url: str, **options: Any) -> Visit:
            context = browser.new_context(**options)
            pages.callback(context.close)
            return Visit(context.new_page(), url)

        yield open_


@pytest.fixture
def worker(river: StartRiver) -> River:
    """Return a River that works well."""
    return river(rate=50, job_seconds=0.1, workers=8, pool=16)


@pytest.fixture
def exporter(database: Database, worker: River) -> Iterator[Exporter]:
    """Yield an exporter beside it."""
    with Exporter(database.exporter_url, metrics_urls=[worker.metrics_url], settings=FAST) as started:
        yield started


def test_healthy_river(exporter: Exporter, look: Look) -> None:
    """On time, the pool, the queue and all collectors; light and dark; nothing to complain of."""
    for scheme in ("light", "dark"):
        visit = look(exporter.url, color_scheme=scheme)
        visit.shows("Completions are on time")
        visit.shows("pgxpool", "#pools")
        visit.shows("default", "#queues")
        assert "failed" not in visit.text("#exporter")
        assert visit.violations() == []
        assert visit.complaints == []


def test_row_lock_is_told_live_with_who_holds_it_and_heals(
    exporter: Exporter, database: Database, worker: River, look: Look
) -> None:
    """The page that was open before the fault names it, and says when it is over; what was opened stays open."""
    visit = look(exporter.url)
    visit.shows("Completions are on time")
    visit.page.locator("#past-0 > summary").click()
    with FAULTS["row-lock"](Environment(database.superuser_url, worker)):
        visit.shows("for a row lock held by pid")
        visit.shows("(fault), idle in transaction", "#state")
        visit.shows("critical", "#spoken")
        visit.shows("fault", "#blocking-0")
        assert visit.page.locator("#past-0").get_attribute("open") is not None
        assert visit.violations() == []

        def blocker() -> object:
            data = requests.get(f"{exporter.url}/status.json", timeout=5).json()
            return [each["application"] for each in data["rivers"][0]["blocking"]]  # empty while River sleeps

        wait_for(lambda: blocker() == ["fault"], 10, "the blocker in the JSON")
    visit.shows("Completions resumed", "#state", within=30)
    assert visit.complaints == []


SPOKEN = {
    "pool-exhausted": "for a connection",
    "black-hole": "no answer through River's connection endpoint",
    "slow-trigger": "A completing statement has been running for",
    "sync-standby": "for the disk or a standby",
    "ddl": "for a lock on the table held by pid",
    "prepared-transaction": "for a row lock held by a prepared transaction",
}
"""What the page says while a fault lasts."""

ATTEMPTS = 12.0
"""Seconds that it is watched for: past the first attempt's deadline, into the second attempt."""


@pytest.mark.parametrize("fault", SPOKEN)
def test_each_fault_is_called_by_its_name_also_after_the_deadline(
    fault: str, database: Database, river: StartRiver, look: Look
) -> None:
    """The sentence names no other cause while attempts are cut and begin anew, and nobody is kept from reading it."""
    with TcpProxy(database.server.host, database.server.port) as proxy:
        worker = river(proxy.url(database.superuser_url), rate=50, job_seconds=0.1, workers=8, pool=16)
        own = database.exporter_url
        with (
            Exporter(own, river_url=proxy.url(own), metrics_urls=[worker.metrics_url], settings=FAST) as exporter,
            FAULTS[fault](Environment(database.superuser_url, worker, proxy)),
        ):
            visit = look(exporter.url)
            visit.shows(SPOKEN[fault], "#state")
            ends, said = time.monotonic() + ATTEMPTS, set[str]()
            while time.monotonic() < ends:
                said.add(visit.text("#state"))
                visit.page.wait_for_timeout(200)
            others = [words for name, words in SPOKEN.items() if name != fault]
            assert [text for text in said if any(words in text for words in others)] == []
            assert visit.violations() == []
            assert visit.complaints == []


def test_details_can_be_switched_off(database: Database, worker: River, look: Look) -> None:
    """The cause and its seconds stay; no pid, no application, no chain."""
    settings = {**FAST, "web.details": "false"}
    with (
        Exporter(database.exporter_url, settings=settings) as exporter,
        FAULTS["row-lock"](Environment(database.superuser_url, worker)),
    ):
        visit = look(exporter.url)
        visit.shows("for a row lock held by a session")
        assert "(fault)" not in visit.page.content()
        assert "Who blocks River" not in visit.page.content()
        assert "blocker_pid" not in requests.get(f"{exporter.url}/status.json", timeout=5).text


def test_database_down_and_back(exporter: Exporter, database: Database, look: Look) -> None:
    """The page is as quick as ever, says that there is no connection, and recovers by itself."""
    visit = look(exporter.url)
    visit.shows("Completions are on time")
    with database.connect() as connection:
        connection.execute("ALTER ROLE river_exporter NOLOGIN")
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'river_exporter'")
    try:
        visit.shows("No connection to the database: auth", "#state")
        started = time.monotonic()
        assert requests.get(f"{exporter.url}/", timeout=5).ok
        assert time.monotonic() - started < 1
        assert visit.violations() == []
    finally:
        with database.connect() as connection:
            connection.execute("ALTER ROLE river_exporter LOGIN")
    visit.shows("Completions are on time", "#state", within=60)
    assert visit.complaints == []


def test_200_queues_with_long_names_on_a_phone(exporter: Exporter, database: Database, look: Look) -> None:
    """Nothing runs out of the screen, the page stays small, and names are shown as they are."""
    name = "<b>&amp;" + "q" * 50
    with database.connect() as connection:
        connection.execute(
            "INSERT INTO river_job (args, kind, max_attempts, queue, state)"
            " SELECT '{}', 'k', 3, %s || n, 'available' FROM generate_series(1, 220) n",
            [name],
        )
    visit = look(exporter.url, viewport={"width": 360, "height": 740}, color_scheme="dark")
    visit.shows(f"{name}199", "#queues")
    visit.shows("other", "#queues")
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert len(requests.get(f"{exporter.url}/", timeout=5).content) <= MOST_BYTES
    assert visit.violations() == []
    assert visit.complaints == []


def test_page_needs_no_javascript(exporter: Exporter, look: Look) -> None:
    """All of it is there, and says how to refresh."""
    wait_for(lambda: "on time" in requests.get(exporter.url, timeout=5).text, 20, "the page to know something")
    visit = look(exporter.url, java_script_enabled=False)
    text = visit.text("body")
    for words in ("Completions are on time", "reload to see what is new", "pgxpool", "The last 30 minutes"):
        assert words in text
    assert "Pause" not in text


def test_keyboard_reaches_everything_and_keeps_its_place(exporter: Exporter, look: Look) -> None:
    """Pause, the tables that scroll and what opens, in order; a refresh does not take the focus away."""
    visit = look(exporter.url, viewport={"width": 360, "height": 740})
    visit.shows("default", "#queues")
    reached = []
    for _ in range(12):
        visit.page.keyboard.press("Tab")
        reached.append(visit.page.evaluate("document.activeElement.id || document.activeElement.textContent"))
    assert reached[0] == "Pause"
    assert {"past-summary-0", "pools-table", "queues-table", "collectors-summary", "Metrics"} <= set(reached)
    visit.page.locator("#queues-table").focus()
    before = visit.text("#fresh")
    visit.page.wait_for_function("before => document.getElementById('fresh').textContent !== before", arg=before)
    assert visit.page.evaluate("document.activeElement.id") == "queues-table"


def test_pausing_stops_the_refreshing(exporter: Exporter, look: Look) -> None:
    """What moves by itself can be halted."""
    visit = look(exporter.url)
    visit.page.get_by_role("button", name="Pause").click()
    visit.page.wait_for_timeout(500)  # an answer under way may still come in
    before = visit.text("#fresh")
    visit.page.wait_for_timeout(5000)
    assert visit.text("#fresh") == before
    visit.page.get_by_role("button", name="Go on").click()
    visit.page.wait_for_function("before => document.getElementById('fresh').textContent !== before", arg=before)


def test_exporter_that_is_gone_is_told(database: Database, look: Look) -> None:
    """What is old must not look new."""
    with Exporter(database.exporter_url, settings=FAST) as exporter:
        visit = look(exporter.url)
        visit.shows("collectors ran well", "#exporter")
    visit.shows("The exporter does not answer: this is old.", "#tools")
