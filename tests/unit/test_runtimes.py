"""The statements of every runtime are recognised, however they are written; those of other programs are not."""

import random
import re
import tomllib
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from docs.generate import RIVERS, rivers_page
from exporter.river.operations import CACHED, COMPLETING, Statement, _classify, classify
from exporter.river.supported import BY_NAME, SUPPORTED, matrix
from tests.testbed.emulators import EMULATORS, Emulator, examples
from tests.testbed.river import RUST_SOURCES, SOURCES
from tests.testbed.river_source import statements
from tests.unit.test_operations import nameless, normalised, written

NEWEST = "v0.51.2"

MINORS = (*(f"v0.{minor}.0" for minor in range(39, 52)), "v0.51.1", NEWEST)
"""Each minor version of River for Go since v0.39, and the newest patches."""

COMMENT = "/*dddbs='orders',traceparent='00-{:032x}-{:016x}-01',ddps='worker',ddpv='1.2.3'*/"
"""A comment of an APM library, as long as Datadog's: another one for each statement."""

SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "on one line": lambda text: " ".join(re.sub(r"--[^\n]*", "", text).split()),
    "no blanks around operators": lambda text: re.sub(r" ?(=|<=|>=|<|>|\|\||,) ?", r"\1", text),
    "blanks around operators": lambda text: re.sub(r"(?<![<>|!])(<=|>=|=|,)", r" \1 ", text),
    "upper case": lambda text: "".join(
        part if place % 2 else part.upper() for place, part in enumerate(re.split(r"('[^']*'|\$\w+|/\*.*?\*/)", text))
    ),
    "unquoted": lambda text: text.replace('"', ""),
    "a comment before": lambda text: COMMENT.format(1, 1) + " " + text,
    "a comment after": lambda text: f"{text.rstrip()} {COMMENT.format(2, 2)}",
    "a cut comment after": lambda text: f"{text.rstrip()} {COMMENT.format(2, 2)}"[:-20],
    "comments within": lambda text: re.sub(r"(?i)\b(where|set)\b", r"\1 /* a = 'b */ -- c'\n", text, count=2),
    "a semicolon": lambda text: text.rstrip() + ";\n",
    "normalised": normalised,
}
"""What a driver, a proxy, an APM library and PostgreSQL make of a text."""


def completing(emulator: type[Emulator]) -> str:
    """The emulator's completing statement."""
    return next(text for operation, text in examples(emulator) if operation in COMPLETING)


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("emulator", EMULATORS, ids=lambda emulator: emulator.name)
def test_every_statement_is_recognised_however_it_is_written(emulator: type[Emulator], spelling: str) -> None:
    """By its structure: blanks, quotes, case and comments make no difference."""
    for operation, text in examples(emulator):
        assert classify(SPELLINGS[spelling](text)).operation == operation


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("emulator", EMULATORS, ids=lambda emulator: emulator.name)
def test_a_completing_statement_tells_its_runtime(emulator: type[Emulator], spelling: str) -> None:
    """So that a reader knows whether its attempts have a deadline."""
    statement = classify(SPELLINGS[spelling](completing(emulator)))
    assert (statement.runtime, statement.completes) == (emulator.name, True)
    assert statement.in_transaction is BY_NAME[emulator.name].completer.wrapped
    assert statement.certain


@pytest.mark.parametrize("schema", ["jobs", "my schema"])
@pytest.mark.parametrize("emulator", EMULATORS, ids=lambda emulator: emulator.name)
def test_the_schema_is_found(emulator: type[Emulator], schema: str) -> None:
    """Before the quoted and the plain name."""
    text = re.sub(
        r'(?<![\w.])"?(river_(?:job|leader)\b|river_job_state)"?(?!\.)', rf'"{schema}"."\1"', completing(emulator)
    )
    statement = classify(text)
    assert (statement.schema, statement.completes) == (schema, True), text


def rust_like() -> str:
    """The beginning of what the crate sends, in our words: its table comes late."""
    arrays = "$1::bigint[], $2::boolean[], $3::smallint[], $4::jsonb[], $5::timestamptz[], $6::boolean[], $7::jsonb[]"
    names = "id, attempt_do_update, attempt, errors, finalized_at, metadata_do_merge, metadata_updates"
    return (
        f"WITH job_input AS (SELECT * FROM unnest({arrays}) AS job_input({names}) ), "
        'updated AS ( UPDATE "river_job" AS job SET state = job_input.state FROM job_input) SELECT 1'
    )


def completing_texts() -> dict[str, str]:
    """A completing statement of each runtime, as pg_stat_activity shows it."""
    go = written(statements(NEWEST)["JobSetStateIfRunningMany"], None)
    return {"go": go, "rust": rust_like(), **{emulator.name: completing(emulator) for emulator in EMULATORS}}


@pytest.mark.parametrize("length", [0, 135, 300, 500, 700, 850])
@pytest.mark.parametrize("runtime", BY_NAME)
def test_a_completing_statement_is_recognised_behind_a_long_comment(runtime: str, length: int) -> None:
    """track_activity_query_size cuts at 1,024 bytes: what is left need not reach the first table."""
    comment = COMMENT.format(3, 4)
    comment = f"{comment[:-2]}{'x' * (length - len(comment))}*/" if length else ""
    statement = classify((comment + completing_texts()[runtime])[:1023])
    assert statement.completes, statement
    assert statement.runtime == runtime


@pytest.mark.parametrize("runtime", BY_NAME)
def test_a_completing_statement_is_recognised_in_a_hundred_bytes(runtime: str) -> None:
    """The minimum of track_activity_query_size can be."""
    statement = classify(completing_texts()[runtime][:99])
    assert (statement.completes, statement.runtime) == (True, runtime)


def test_the_name_comment_is_found_behind_another_one() -> None:
    """As APM libraries put theirs before it."""
    text = COMMENT.format(1, 2) + written(statements(NEWEST)["JobGetAvailable"], None)
    assert classify(text) == Statement("JobGetAvailable", certain=True, runtime="go")
    assert classify(text[:170]).operation == "JobGetAvailable"


def test_a_comment_that_changes_does_not_miss_the_cache() -> None:
    """Before and after the statement."""
    texts = list(completing_texts().values())
    _classify.cache_clear()
    for number in range(200):
        for text in texts:
            comment = COMMENT.format(number, number)
            assert classify(comment + text).completes
            assert classify(f"{text} {comment}").completes
    assert _classify.cache_info().misses <= 2 * len(texts)  # with and without white space at the end


def test_what_is_remembered_is_bounded() -> None:
    """Texts with their values in them are another one each time."""
    text = completing_texts()["ruby"]
    _classify.cache_clear()
    tracemalloc.start()
    for number in range(4 * CACHED):
        classify(f"{text} AND id <> {number} {'x' * 7000}")
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert _classify.cache_info().currsize == CACHED
    assert kept < 8e6
    _classify.cache_clear()


@pytest.mark.parametrize("schema", [None, "my schema"])
@pytest.mark.parametrize("version", MINORS)
def test_each_minor_version_of_go_is_recognised(version: str, schema: str | None) -> None:
    """Every statement of its module, by its comment, by its shape, normalised and cut."""
    texts = {name: written(text, schema) for name, text in statements(version).items()}
    assert len(texts) > 50
    for form in (str, nameless, lambda text: normalised(nameless(text)), lambda text: text[:1023]):
        found = {name: classify(form(text)) for name, text in texts.items()}
        assert {name: each.operation for name, each in found.items()} == {name: name for name in texts}
        assert {each.runtime for each in found.values()} <= {"go", None}
    assert {name for name, text in texts.items() if classify(text).completes} == set(texts) & COMPLETING


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        ('LISTEN "public.river_control";LISTEN "public.river_insert";LISTEN "public.river_leadership";', "public"),
        ('LISTEN "my schema.river_insert"; LISTEN "my schema.river_control"', "my schema"),
        ('LISTEN "a.b.river_insert";LISTEN "a.b.river_contr', "a.b"),
        ('LISTEN "a ""b"".river_insert"', 'a "b"'),
        ('listen "orders"; listen "jobs.river_insert"', "jobs"),
        ('LISTEN "river_job.river_insert"', "river_job"),
    ],
)
def test_topics_in_one_string_are_rivers(text: str, schema: str) -> None:
    """As sqlx subscribes to several at once; the schema is read before the last dot of the first topic of River's."""
    assert classify(text) == Statement("LISTEN", schema, certain=True)


@pytest.mark.parametrize("text", ["SELECT 1", "select 1;", "-- ping", " ", "", "/* ping */ SELECT 1", "LISTEN orders"])
def test_what_any_listener_sends_is_other(text: str) -> None:
    """A session is River's by what it sent before, not by its ping."""
    assert classify(text) == Statement("other")


@pytest.mark.parametrize(
    "text",
    [
        "WITH locked_jobs AS (SELECT id FROM river_job) INSERT INTO river_job_sequence SELECT id FROM locked_jobs",
        "DELETE FROM river_job_dead_letter WHERE id = $1",
        "UPDATE river_periodic_job SET next_run_at = $1 WHERE id = $2",
        "SELECT * FROM river_workflow WHERE id = $1",
        "-- name: JobDeadLetterMove :one\nWITH job_to_delete AS (SELECT 1) INSERT INTO river_job_dead_letter SELECT 1",
        "UPDATE river_producer SET updated_at = $1 WHERE id = $2",
    ],
)
def test_statements_of_river_pro_are_other_river(text: str) -> None:
    """Its tables are known, its statements are not."""
    assert classify(text).operation == "other_river"
    assert not classify(text).completes


FOREIGN = (
    "SELECT count(*) FROM pg_class WHERE relname = 'river_job'",
    "INSERT INTO audit (query) VALUES ('UPDATE river_job SET state = ''completed'', finalized_at = now()')",
    "UPDATE orders SET river_job_id = $1 WHERE id = $2",
    "SELECT river_level, river_name FROM river_gauges JOIN rivers USING (river_id)",
    "DELETE FROM river_jobs WHERE finalized_at < $1",
    "UPDATE my_river_job SET state = 'completed', finalized_at = now()",
    "INSERT INTO river_queues (name) VALUES ($1) ON CONFLICT (name) DO NOTHING",
    "WITH job_input AS (SELECT * FROM unnest($1::bigint[]) AS id) UPDATE jobs SET done = true FROM job_input",
    "WITH job_input AS (SELECT unnest($1::bigint[]) AS id), updated AS (UPDATE tasks SET state = 'done') SELECT 1",
    "WITH choice AS (SELECT $1::text AS target_state) UPDATE machines SET state = (SELECT target_state FROM choice)",
    "/* river:jobCompleteMany */ SELECT 1",
    "/* UPDATE river_job SET state = $1 */ SELECT 1",
    "SELECT 1 -- FROM river_job",
    "WITH queue_limits AS (SELECT * FROM unnest($1::text[])) SELECT * FROM queue_limits",
    "WITH locked AS (SELECT id FROM tasks WHERE state = 'available' FOR UPDATE SKIP LOCKED) UPDATE tasks SET a = 1",
    'LISTEN "river_insertions"',
    "LISTEN my_river_insert",
)
"""Statements of other programs that come near River's."""


@pytest.mark.parametrize("text", FOREIGN)
def test_a_foreign_statement_is_left_alone(text: str) -> None:
    """River's words in a constant, in a comment or as a part of a longer name are not its tables."""
    assert classify(text) == Statement("other")


def elsewhere(chance: random.Random, text: str) -> str:
    """Put a statement of River's onto other tables, as another queue might have it."""
    name = chance.choice(["jobs", "task", "river_jobs", "my_river_job", "river_job_archive", "public.work", "r"])
    return re.sub(r"\b(?:\w+\.)?river_(\w+)", lambda found: name if found[1] != "job_state" else "text", text)


def foreign(count: int) -> Iterator[str]:
    """Make foreign statements: River's own on other tables, whole, cut, commented, normalised and spliced."""
    chance = random.Random(16)  # noqa: S311 - the same texts on every run
    own = [text for emulator in EMULATORS for _, text in examples(emulator)]
    own += [nameless(written(text, None)) for text in statements(NEWEST).values() if "river_" in text]
    spellings = list(SPELLINGS.values())
    for _ in range(count):
        text = elsewhere(chance, chance.choice(own)).replace("/* river:jobCompleteMany */", "")
        text = chance.choice(spellings)(text)
        if chance.random() < 0.3:
            text = f"SELECT $${text}$$, '{chance.choice(own).replace(chr(39), chr(39) * 2)}'"
        yield text


def test_no_foreign_statement_is_taken_for_rivers() -> None:
    """Nor may it make its session River's, whatever it looks like."""
    texts = set(foreign(4000))
    assert len(texts) > 500
    for text in texts:
        statement = classify(text)
        assert not statement.completes, text
        assert not statement.certain, text
        assert statement.runtime is None or statement.operation not in _TABLE_OPERATIONS, text


_TABLE_OPERATIONS = {shape.operation for runtime in SUPPORTED for shape in runtime.shapes}
"""What needs one of River's tables."""


def test_a_foreign_statement_cut_anywhere_is_left_alone() -> None:
    """Only a long beginning that no other program writes stands for a table that was cut off."""
    for text in FOREIGN:
        for end in range(len(text)):
            assert not classify(text[:end]).completes, text[:end]
    chance = random.Random(917)  # noqa: S311 - the same texts on every run
    for text in foreign(1000):
        cut = text[: chance.randrange(20, 1023)]
        assert not classify(cut).certain, cut


def test_the_versions_said_to_be_run_are_those_of_the_workers() -> None:
    """Of Go's two modules and of Rust's lock file; the other runtimes are declared as emulated."""
    modules = [(SOURCES / name).read_text() for name in ("river016.mod", "go.mod")]
    go = [re.search(r"github\.com/riverqueue/river v(\S+)", module) for module in modules]
    assert BY_NAME["go"].run == tuple(found[1] for found in go if found)
    locked = tomllib.loads((RUST_SOURCES / "Cargo.lock").read_text())["package"]
    rust = tuple(package["version"] for package in locked if package["name"] == "riverqueue")
    assert BY_NAME["rust"].run == rust == BY_NAME["rust"].read
    assert BY_NAME["go"].read == (f"0.16.0 to {NEWEST[1:]}",)
    assert {runtime.name for runtime in SUPPORTED if not runtime.run} == {emulator.name for emulator in EMULATORS}


def test_every_runtime_is_complete() -> None:
    """Each has a statement that fetches and one that completes, and the document has the table of them."""
    for runtime in SUPPORTED:
        operations = {shape.operation for shape in runtime.shapes}
        assert operations & COMPLETING, runtime.name
        assert {"JobGetAvailable", "JobGetStuck"} <= operations, runtime.name
        assert all(shape.wrapped is None or shape.operation in COMPLETING for shape in runtime.shapes)
    assert RIVERS.read_text(encoding="utf-8") == rivers_page()
    assert [line.split(" | ")[0] for line in matrix().splitlines()[2:]] == [f"| {each.title}" for each in SUPPORTED]
