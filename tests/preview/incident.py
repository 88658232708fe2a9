"""A real incident to look at: River behind PgBouncer, PostgreSQL, exporter, Prometheus, and one fault after another.

`python -m tests.preview.incident` provokes them and draws the dashboards of it, as the documentation shows them.
"""

import argparse
import json
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from exporter.collectors.discovery import classes
from tests.preview.fill import Api, Document, Window, panels
from tests.preview.preview import FOLDER, draw_all
from tests.testbed.cache import say
from tests.testbed.exporter import Exporter
from tests.testbed.faults import FAULTS, Environment
from tests.testbed.pgbouncer import PgBouncer
from tests.testbed.postgres import Postgres
from tests.testbed.prepare import prepare
from tests.testbed.process import temporary_folder
from tests.testbed.prometheus import Prometheus
from tests.testbed.river import River
from tests.testbed.stage import DATABASE, ROLE, own_environment

RULES = FOLDER.parent / "config" / "alerts.yaml"
SETTINGS: dict[str, str | int] = {"max_prepared_transactions": 10, "track_io_timing": "on", "track_wal_io_timing": "on"}
OFTEN = {f"collectors.{each.name}.interval": "2s" for each in classes() if each.interval > 2}
"""Intervals shorter than by default, so that a picture of minutes is as sharp as one of hours."""

WORKERS, CONNECTIONS = 20, 10


@dataclass(frozen=True)
class Scene:
    """What runs."""

    postgres: Postgres
    river: River
    exporter: Exporter
    prometheus: Prometheus
    environment: Environment


@contextmanager
def scene(scrape: str = "1s", rules: Path = RULES) -> Iterator[Scene]:
    """Start everything and leave nothing behind; `scrape` is Prometheus' interval.

    Raises:
        PartMissing: a part can't be had on this machine.
        ServerFailed: a part doesn't start.
    """
    with ExitStack() as parts, own_environment():
        say("starting PostgreSQL, PgBouncer, River, the exporter and Prometheus")
        postgres = parts.enter_context(Postgres(18, SETTINGS))
        postgres.create_database(DATABASE)
        password = secrets.token_hex(16)
        prepare(postgres, DATABASE, ROLE, password)
        bouncer = parts.enter_context(PgBouncer(postgres, DATABASE, pool_size=CONNECTIONS + 5))
        river = parts.enter_context(
            River(bouncer.url(), rate=50, pool=CONNECTIONS, workers=WORKERS, exec_mode="exec", poll_only=True)
        )
        exporter = parts.enter_context(
            Exporter(
                postgres.url(DATABASE, ROLE, password),
                river_url=bouncer.url(),
                metrics_urls=[river.metrics_url],
                settings={
                    "pgbouncer.url": bouncer.console_url,
                    "river.workers": str(WORKERS),
                    "river.settings.rescue_after": "1h",
                    **OFTEN,
                },
            )
        )
        target = f"{exporter.host}:{exporter.port}"
        prometheus = parts.enter_context(Prometheus(targets=[target], rules=[rules], scrape_interval=scrape))
        say(f"Prometheus answers at {prometheus.url}")
        environment = Environment(postgres.url(DATABASE), river, None, bouncer)
        yield Scene(postgres, river, exporter, prometheus, environment)


def incident(environment: Environment) -> None:
    """Rest, a row lock that lasts longer each time until attempts time out, rest, and a pool that leaks at once."""
    _wait(120, "all is well")
    with FAULTS["row-lock"](environment, 2) as lock:
        _wait(30, "a transaction locks rows, 2 s each time")
        lock.set(5)
        _wait(40, "5 s each time")
        lock.set(25)
        _wait(56, "25 s each time: attempts time out")
    _wait(150, "lifted; all is well")
    with FAULTS["pool-exhausted"](environment):
        _wait(25, "River's pool leaks")


def sharp_rules(folder: Path) -> Path:
    """Write the rules to `folder` once more, evaluated each 2 s, for a picture of minutes; returns the file."""
    rules = yaml.safe_load(RULES.read_text())
    for group in rules["groups"]:
        group["interval"] = "2s"
    target = folder / RULES.name
    target.write_text(yaml.safe_dump(rules))
    return target


def sharp(document: Document) -> Document:
    """Let a dashboard ask for as many points as there are, also of what rules record; returns it."""
    for panel in panels(document):
        panel.pop("interval", None)
    return document


def _wait(seconds: float, what: str) -> None:
    say(f"{what}, for {seconds:.0f} s")
    time.sleep(seconds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Provoke the incident and draw it, in dark and light."""
    parser = argparse.ArgumentParser(prog="python -m tests.preview.incident", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(), help="folder for the pictures (default here)")
    output = parser.parse_args(arguments).output
    folder = temporary_folder("incident")
    files = [folder / path.name for path in sorted(FOLDER.glob("river-*.json"))]
    for file in files:
        file.write_text(json.dumps(sharp(json.loads((FOLDER / file.name).read_text()))))
    with scene("2s", sharp_rules(folder)) as played:
        began = time.time()
        incident(played.environment)
        say(f"River's own log has {len(played.river.deadlines())} deadlines of the completer")
        window = Window(began, time.time(), 2)
        api = Api(played.prometheus.url)
        return draw_all(files, api, window, "dark", output) or draw_all(files[:1], api, window, "light", output)


if __name__ == "__main__":
    sys.exit(main())
