"""Every command and every SQL that a document shows works: it is run here, or by another test that is named.

What a command names of a reader's (``POD``, ``PROMETHEUS``, ``db/app``) is replaced by what is in the scene: a
PostgreSQL with a healthy River and one whose completer is locked out, PgBouncer, an exporter and a Prometheus. A
command for a pod loses its ``kubectl exec`` here; on a cluster tests/k8s has it.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from exporter.config import variable
from exporter.doctor.run import checks
from tests.documents import ROOT, TABLE, Bash, Shown, documents, shown
from tests.k8s import cluster_guide, helm
from tests.testbed.exporter import Exporter
from tests.testbed.faults import FAULTS, Environment
from tests.testbed.pgbouncer import PgBouncer
from tests.testbed.postgres import Postgres
from tests.testbed.postgres_binaries import environment, postgres_home
from tests.testbed.prepare import prepare
from tests.testbed.process import free_port, wait_for
from tests.testbed.prometheus import Prometheus
from tests.testbed.river import River

PASSWORD = "correct-horse"

SHOWN = [each for path in documents() for each in shown(path)]


# --- who holds a command


@dataclass(frozen=True)
class Here:
    """A command that is run here."""

    pattern: str
    prints: str = ""
    """A pattern that its output has."""
    doctor: bool = False
    """Whether it is tried until it succeeds, as what it asks has just been started."""


@dataclass(frozen=True)
class There:
    """A command that other tests run."""

    pattern: str
    tests: tuple[str, ...]
    words: tuple[str, ...]
    """What the command (of make: its recipe) and each test's source both say."""


@dataclass(frozen=True)
class Nowhere:
    """A command that no test machine can run, or should."""

    pattern: str
    reason: str


EXEC = "kubectl exec POD -c river-exporter -- "
GUIDE = "tests/k8s/cluster_guide.py::test_the_guide_holds"
CLUSTER = "tests/k8s/cluster_standalone.py::test_install_upgrade_test_and_uninstall"
CURRENT = (
    "tests/unit/test_alerts.py::test_the_generated_files_are_current",
    "tests/unit/test_catalog.py::test_the_metrics_page_is_what_the_declarations_make",
    "tests/unit/test_dashboards.py::test_the_committed_files_are_what_the_modules_make",
    "tests/k8s/test_chart.py::test_generated_files_are_current",
)
THE_READERS = "is for a cluster of the reader's, and has nothing of ours in it"
LONG = "takes minutes to hours, and is run by hand; its flags are checked here"

HOLDERS: tuple[Here | There | Nowhere, ...] = (
    # the README and the guides
    Here(r"pip install \.", "Successfully installed river-exporter"),
    Here(r'river-exporter setup-sql \| psql "\$ADMIN_URL"', "GRANT"),
    Here(r"psql .* -c '\\password river_exporter'"),
    Here(r"export DATABASE_URL=\S+"),
    Here(r"river-exporter &"),
    Here(r"curl -s localhost:10917/metrics \| grep .*", "river_completer_budget_used_ratio{", doctor=True),
    Nowhere(
        r"docker run .*", "is the image of a release; tests/k8s/image_in_container.py runs one made of the sources"
    ),
    Here(r"river-exporter --version", "version 0"),
    Here(r"river-exporter setup-sql > role\.sql"),
    Here(r"psql -d app -f role\.sql", "GRANT"),
    Here(r"river-exporter setup-sql", "grant pg_monitor to"),
    Here(r"make help", "test-k8s"),
    There(r"make demo", ("tests/e2e/test_demo.py::test_without_a_terminal_it_prints_lines_and_ends",), ("demo",)),
    There(r"make generate", CURRENT, ("generate",)),
    Nowhere("make docs", "fetches mkdocs; a unit test has its links and navigation, and its workflow runs it"),
    Nowhere(r'make test( ARGS="tests/unit -x")?', "runs this test"),
    Nowhere(r"make lint( typecheck)?|bash \.ci/run", "looks at the source of the tests too; .ci/run is what CI runs"),
    Nowhere(r"make (bench|bench-\w+|preview)( ARGS=.*)?", LONG),
    Nowhere(r"python -m (tests\.budget_picture|tests\.preview\.incident|tests\.bench\.\w+)", LONG),
    # doctor
    Here(f"(?:{EXEC})?river-exporter doctor", r"\w+: .*\nriver-exporter \S+ doctor, (.*\n)*.* ok \(--verbose"),
    Here(r"river-exporter doctor --explain( --explain\.url-file \S+)?", r"ok +completing-plan: "),
    Here(f"{EXEC}river-exporter doctor --prometheus URL", r"ok +alerts: (.*\n)*ok +scraped: "),
    # runbooks
    Here(f"{EXEC}river-exporter check-config --config.file=.*", "thresholds:"),
    Here(r"kubectl logs POD --since=10m \| grep -c 'context deadline exceeded'", r"^[1-9]", doctor=True),
    Here(r"kubectl logs POD -c river-exporter \| grep 'collector failed' \| tail -n 5", "collector=pgxpool"),
    Here(r"curl -s 'http://PROMETHEUS:9090/api/v1/targets\?state=active' \| .*", r'1 "lastError":".*refused"'),
    Here(r"curl -s http://POD_IP:10917/-/healthy", "OK"),
    Here(r"pg_isready -h HOST -p PORT", "accepting connections"),
    Here(r"psql -p 6432 pgbouncer", "cl_waiting"),
    There(r"kubectl get pods", (GUIDE,), ("get pods",)),
    There(r"kubectl get pods -A -l .*", (CLUSTER,), ("app.kubernetes.io/name=river-exporter",)),
    There(r"kubectl get podmonitor,servicemonitor -A .*", (GUIDE,), ("get podmonitor",)),
    Nowhere(r"kubectl get endpointslices|kubectl describe pod( POD)?", THE_READERS),
    Nowhere(r"kubectl logs POD -c river-exporter --previous|kubectl delete pod POD", THE_READERS),
    Nowhere(r"ss -ti dst DATABASE", "is for a pod whose image has ss"),
    Nowhere(r"kill -HUP|kubectl exec|promtool tsdb create-blocks-from rules", "is half a command"),
    # Kubernetes: the guide's own, and the chart's README
    Here(r"helm install river-exporter \./helm/river-exporter .*", "kind: PodMonitor\n"),
    There(r"kubectl create secret generic .*", (GUIDE,), ("create secret generic", "url=")),
    There(r"helm test( river-exporter)?", (GUIDE, CLUSTER), ("test",)),
    There(r"helm upgrade river-exporter \./helm/river-exporter --reset-then-reuse-values", (CLUSTER,), ("upgrade",)),
    There(r"helm uninstall river-exporter", (CLUSTER,), ("uninstall",)),
    There(r"kubectl apply -k", (GUIDE,), ("apply -k",)),
    Nowhere(r"make test-(k8s|api-server)|.*tests/k8s/cluster up; .*", "runs a Kubernetes for half an hour, as root"),
    Nowhere(r"go mod tidy", "asks what is newest today"),
)


def holders(command: Shown) -> list[Here | There | Nowhere]:
    """Who holds a command of a shell; the guide's blocks are all run by its own test."""
    if command.document == "docs/kubernetes.md" and command.block:
        return [There(".*", (GUIDE,), (command.text,))]
    return [each for each in HOLDERS if re.fullmatch(each.pattern, command.text)]


COMMANDS = [each for each in SHOWN if each.language == "sh"]
STATEMENTS = [each for each in SHOWN if each.language == "sql"]


def test_the_documents_show_commands_and_sql() -> None:
    """What the others look at is there: blocks and code spans, commands and SQL."""
    for some in (COMMANDS, STATEMENTS):
        assert len([each for each in some if each.block]) > 40
        assert len([each for each in some if not each.block]) > 40


def test_every_command_is_held_once() -> None:
    """A new one needs a line in `HOLDERS`: run it here, or name the test that does."""
    wrong = [f"{each} is held by {found}" for each in COMMANDS if len(found := holders(each)) != 1]
    assert not wrong, "\n".join(["add to HOLDERS, or make its patterns exclusive:", *wrong])


def test_every_line_holds_something() -> None:
    """None is left of a command or a statement that is gone."""
    held = [holder for command in COMMANDS for holder in holders(command)]
    assert [each for each in HOLDERS if each not in held] == []
    texts = [statement.text for statement in STATEMENTS]
    assert [each for each in (*FIRST, *SQL_NAMES) if not any(re.search(each, text) for text in texts)] == []


@cache
def recipe(command: str) -> str:
    """Return the command, and of make also what it would do."""
    if not command.startswith("make "):
        return command
    dry = ["bash", "-c", f"make -n {command[5:]}"]
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(dry, cwd=ROOT, env=alone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return f"{command}\n{done.stdout}"


@cache
def source(test: str) -> str:
    """Return what says what a test does, once it is sure that there is one of the name.

    That is its module and those of ours it imports from, and for the test of the guide the guide's commands.
    """
    path, _, name = test.partition("::")
    text = (ROOT / path).read_text()
    module = ast.parse(text)
    assert name in [each.name for each in module.body if isinstance(each, ast.FunctionDef)], test
    imported = [each.module or "" for each in ast.walk(module) if isinstance(each, ast.ImportFrom)]
    files = [ROOT / f"{each.replace('.', '/')}.py" for each in imported if each.startswith("tests.k8s.")]
    guide = [each.text for each in cluster_guide.commands()] if test == GUIDE else []
    return "\n".join([text, *(file.read_text() for file in files), *guide])


def test_other_tests_run_what_they_are_said_to() -> None:
    """Each is there, and its source and the command have the words in common."""
    for command in COMMANDS:
        for holder in holders(command):
            if isinstance(holder, There):
                assert [word for word in holder.words if word not in recipe(command.text)] == [], command
                for test in holder.tests:
                    assert [word for word in holder.words if word not in source(test)] == [], f"{command}: {test}"


def test_long_commands_are_there_and_know_their_flags() -> None:
    """What nobody waits for here: its module is a program, and has the flags that the command is shown with."""
    long = {each.text for each in COMMANDS for holder in holders(each) if getattr(holder, "reason", "") == LONG}
    assert long
    for command in long:
        (module,) = re.findall(r" -m (\S+)", recipe(command).splitlines()[-1])
        text = (ROOT / f"{module.replace('.', '/')}.py").read_text()
        assert "__main__" in text, command
        assert [flag for flag in re.findall(r"--[a-z]+", command) if f'"{flag}"' not in text] == [], command


# --- the scene


@dataclass(frozen=True)
class Scene:
    """What a reader's commands meet."""

    variables: Mapping[str, str] = field(repr=False)
    """The environment of the commands."""
    names: Mapping[str, str] = field(repr=False)
    """What stands for a reader's own names, by these."""
    doctors: Mapping[str, Future[str]]
    """What doctor says, by the command as it is run: it takes its time, so all are asked when the scene is set."""
    databases: Mapping[str, str]
    """Addresses for SQL: ``server``, for a superuser and of a database that it may change; ``console``, PgBouncer's."""

    def ready(self, command: str) -> str:
        """Return a command with the scene's names in the place of the reader's."""
        for name, meant in self.names.items():
            command = command.replace(name, meant)
        return command


WATCHER = "watcher"
"""A role with the exporter's rights, and connections for several at once; `river_exporter` is made by the README."""


@pytest.fixture(scope="module")
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Yield the scene, in which River works and doctor is being asked."""
    with ExitStack() as parts:
        yield set_up(request.config.getoption("--pg-version"), tmp_path_factory.mktemp("commands"), parts)


def set_up(version: int, folder: Path, parts: ExitStack) -> Scene:
    """Start everything."""
    server = parts.enter_context(Postgres(version, {"max_prepared_transactions": 10}))
    server.create_database("app")
    prepare(server, "app", WATCHER, PASSWORD, replicas=9)
    for name in ("locked", "changed"):
        server.create_database(name, "app")
    worker = parts.enter_context(River(server.url("app"), rate=50, job_seconds=0.25, workers=20, pool=30))
    locked = parts.enter_context(River(server.url("locked"), rate=10, job_seconds=0.25))
    parts.enter_context(FAULTS["row-lock"](Environment(server.url("locked"), locked)))
    pgbouncer = parts.enter_context(PgBouncer(server, "app"))
    nobody, watcher = f"127.0.0.1:{free_port()}", server.url("app", WATCHER, PASSWORD)
    exporter = parts.enter_context(Exporter(watcher, metrics_urls=[f"http://{nobody}/metrics"]))
    targets = {"river-exporter": [f"{exporter.host}:{exporter.port}"], "another": [nobody]}
    prometheus = parts.enter_context(Prometheus(targets=targets, rules=[ROOT / "config" / "alerts.yaml"]))

    (folder / "owner-url").write_text(server.url("app"))
    port = free_port()
    names = {
        EXEC: "",
        "kubectl logs POD --since=10m": f"cat {locked.log}",
        "kubectl logs POD -c river-exporter": f"cat {exporter.server.log}",
        "helm install river-exporter ./helm": "helm template river-exporter ./helm",
        "--prometheus URL": f"--prometheus {prometheus.url}",
        "http://PROMETHEUS:9090": prometheus.url,
        "http://POD_IP:10917": exporter.url,
        "localhost:10917": f"localhost:{port}",
        "-h HOST -p PORT": f"-h {server.host} -p {server.port}",
        "psql -p 6432 pgbouncer": f"psql '{pgbouncer.console_url}' -c 'show pools'",
        "PASSWORD@db/app": f"{PASSWORD}@{server.host}:{server.port}/app",
        "/run/secrets/owner-url": str(folder / "owner-url"),
        "/etc/river-exporter/config/exporter.yaml": str(ROOT / "config" / "exporter.yaml"),
        "role.sql": str(folder / "role.sql"),
        r"-c '\password river_exporter'": rf"-c '\password river_exporter' <<< $'{PASSWORD}\n{PASSWORD}'",
    }
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("RIVER_EXPORTER_", "PG"))},
        "PATH": f"{folder}/venv/bin:{tools(folder)}:{os.environ['PATH']}",  # what was installed comes first
        "HOME": str(folder),
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "off",  # as pip spells --no-build-isolation
        "PGHOST": server.host,
        "PGPORT": str(server.port),
        "PGUSER": "postgres",
        "PGPASSWORD": server.password,
        "ADMIN_URL": server.url("app"),
        "DATABASE_URL": watcher,
        variable("web.listen_address"): f"127.0.0.1:{port}",
        variable("river.metrics_urls"): worker.metrics_url,
        variable("river.workers"): "20",
    }
    databases = {
        "server": server.url("changed"),
        "console": pgbouncer.admin_url,
    }
    scene = Scene(variables, names, {}, databases)
    return replace(scene, doctors=ask_doctor(scene, parts))


def tools(folder: Path) -> Path:
    """Make a folder of the programs that commands begin with, as far as they are not everywhere; return its path.

    ``pip`` installs into a new environment, and finds what the project depends on, for its build too, in the tests'
    own: nothing is fetched.
    """
    own = folder / "venv"
    venv.create(own, symlinks=True)
    (packages,) = own.glob("lib/python*/site-packages")
    (packages / "tests.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    bin_of = postgres_home(18)
    libraries = " ".join(f"{name}='{value}'" for name, value in environment(bin_of).items())
    programs = {
        "helm": f"{helm.helm_3()}",
        "pip": f"'{sys.executable}' -m pip --python '{own}/bin/python'",
        "psql": f"env {libraries} {bin_of}/bin/psql",
        "pg_isready": f"env {libraries} {bin_of}/bin/pg_isready",
        "river-exporter": f"env PYTHONPATH='{ROOT}' '{sys.executable}' -m exporter",
    }
    found = folder / "bin"
    found.mkdir()
    for name, program in programs.items():
        (found / name).write_text(f'#!/bin/sh\nexec {program} "$@"\n')
        (found / name).chmod(0o755)
    return found


def ask_doctor(scene: Scene, parts: ExitStack) -> dict[str, Future[str]]:
    """Begin all of doctor's examinations that documents show, each once."""
    pool = parts.enter_context(ThreadPoolExecutor(8))
    shown_ones = {scene.ready(each.text) for each in COMMANDS if "river-exporter doctor" in each.text}
    return {command: pool.submit(examine, command, scene) for command in sorted(shown_ones)}


def examine(command: str, scene: Scene) -> str:
    """Return what doctor reports; it may warn, on a machine as busy as this, but not call anything a problem."""
    owner = {"DATABASE_URL": scene.variables["ADMIN_URL"]} if command.endswith("--explain") else {}
    done = subprocess.run(
        ["bash", "-c", command],
        env={**scene.variables, **owner},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


# --- commands


RUN = {each.document: None for each in COMMANDS if any(isinstance(holder, Here) for holder in holders(each))}


@pytest.mark.parametrize("document", RUN)
def test_the_commands_of_a_document_work(document: str, scene: Scene) -> None:
    """In one shell, in the document's order; they succeed and print what they are for."""
    with Bash(scene.variables, ROOT) as bash:
        for command in COMMANDS:
            for holder in holders(command) if command.document == document else []:
                if isinstance(holder, Here):
                    run(command, holder, scene, bash)


def run(command: Shown, holder: Here, scene: Scene, bash: Bash) -> None:
    """Run a command; raises AssertionError when it fails or does not print what it is for."""
    text = scene.ready(command.text)

    def tried() -> bool:
        printed = scene.doctors[text].result(60) if text in scene.doctors else bash.run(text)
        assert re.search(holder.prints, printed, re.MULTILINE), f"{command}\n{printed}"
        return True

    def tried_in_vain() -> bool:
        try:
            return tried()
        except AssertionError:
            return False

    if holder.doctor:
        wait_for(tried_in_vain, 30, str(command), interval=0.5)
    tried()


# --- SQL


FIRST = {
    r"ROLLBACK PREPARED 'gid';|COMMIT PREPARED 'gid';": "BEGIN; SELECT txid_current(); PREPARE TRANSACTION 'gid';",
    r"select pg_drop_replication_slot\('name'\);": "SELECT pg_create_physical_replication_slot('name');",
    r"reindex index concurrently name;": "CREATE INDEX name ON river_job (kind);",
    r"CREATE POLICY river_exporter ON river_job .*": f"DROP POLICY IF EXISTS {WATCHER} ON river_job;",
    r"CREATE EXTENSION pg_stat_statements;?": "DROP EXTENSION pg_stat_statements;",
    r"alter table river_job disable trigger name;": """
        CREATE OR REPLACE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE OR REPLACE TRIGGER name BEFORE UPDATE ON river_job FOR EACH ROW EXECUTE FUNCTION nothing();""",
}
"""What has to be there before a statement can succeed."""

SQL_NAMES = {
    "set search_path to …": "set search_path to public",
    "alter role …": f"alter role {WATCHER}",
    "river_exporter": WATCHER,
    "to …;": "to postgres;",
}
"""What stands for a reader's own names."""


def psql(scene: Scene, address: str, text: str) -> str:
    """Run SQL as a reader does and return the output, errors refused."""
    done = subprocess.run(
        ["bash", "-c", 'psql --no-psqlrc --set ON_ERROR_STOP=1 "$ADDRESS"'],
        env={**scene.variables, "ADDRESS": address},
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("document", {each.document: None for each in STATEMENTS})
def test_the_sql_of_a_document_works(document: str, scene: Scene) -> None:
    """What somebody copies at night runs, on every version of PostgreSQL, and has the columns that are shown."""
    for statement in STATEMENTS:
        if statement.document != document:
            continue
        for pattern, before in FIRST.items():
            if re.fullmatch(pattern, statement.text):
                psql(scene, scene.databases["server"], before)
        text = statement.text
        for name, meant in SQL_NAMES.items():
            text = text.replace(name, meant)
        place = "console" if re.match("SHOW|RELOAD", text) else "server"
        printed = psql(scene, scene.databases[place], text)
        for line, below in pairwise(statement.expected):
            if TABLE.fullmatch(below):
                remaining = iter(columns(printed.splitlines()[0]))
                assert [each for each in columns(line) if each not in remaining] == [], f"{statement}\n{printed}"


def columns(header: str) -> list[str]:
    """Return the names at the head of a table of psql's."""
    return [name.strip() for name in header.split("|")]


def test_findings_of_doctor_are_shown_under_names_of_checks_there_are() -> None:
    """A runbook that shows doctor's report shows one that can be."""
    names = {check.name for _, group in checks() for check in group}
    lines = [line for each in COMMANDS if each.document != "docs/kubernetes.md" for line in each.expected]
    found = [line for line in lines if re.match("(ok|note|warning|problem) ", line)]
    assert found
    assert [line for line in found if line.split()[1].rstrip(":") not in names] == []


def test_every_runbook_shows_what_is_printed_on_its_fault() -> None:
    """Provoke it (`tests/testbed/faults`), and show what psql or doctor then says, shortened, in a block of `text`."""
    runbooks = {each.document: False for each in SHOWN if each.document.startswith("docs/runbooks/")}
    runbooks |= {each.document: True for each in SHOWN if each.document in runbooks and each.expected}
    assert len(runbooks) > 20
    assert [document for document, shows in runbooks.items() if not shows] == []
