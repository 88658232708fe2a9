"""River's statements are recognised, in every form in which PostgreSQL shows them."""

import random
import re
import time
from collections.abc import Iterator

import pytest

from exporter.river.operations import COMPLETING, LONGEST, OPERATIONS, _classify, classify
from tests.testbed.river_source import statements

VERSIONS = ("v0.16.0", "v0.20.2", "v0.24.0", "v0.51.1")
"""The oldest and the newest River, and two between whose statements look different."""

SCHEMAS = (None, "river_jobs", "my schema", 'a "quoted" One')

TEMPLATE = "/* TEMPLATE: schema */"

TABLE = re.compile(r"(?<![\w.@])river_(?=(?:job|leader|queue|migration|client|client_queue)\b(?!\.)|job_state)")


def written(text: str, schema: str | None) -> str:
    """Fill in a statement's schema as River does; v0.16 has no such setting, so there by hand."""
    if schema is None:
        return text.replace(TEMPLATE, "")
    prefix = schema if re.fullmatch(r"\w+", schema) else '"' + schema.replace('"', '""') + '"'
    if TEMPLATE in text:
        return text.replace(TEMPLATE, prefix + ".")
    return TABLE.sub(lambda _: f"{prefix}.river_", text)


def nameless(text: str) -> str:
    """Drop the leading name comment, as PostgreSQL 18 does in pg_stat_statements."""
    return text.partition("\n")[2]


def normalised(text: str) -> str:
    """Replace constants by parameters, as pg_stat_statements does."""
    without_comments = re.sub(r"--[^\n]*", "", text)
    parts = re.split(r"\$\d+|\bNULL\b(?<!IS NULL)(?<!NOT NULL)|'[^']*'|\b\d+\b|\btrue\b", without_comments)
    return "".join(f"{part}${number}" for number, part in enumerate(parts, 1))


@pytest.fixture(scope="module", params=VERSIONS)
def real(request: pytest.FixtureRequest) -> dict[str, str]:
    """The statements of one River version, from its Go module, by name."""
    return statements(request.param)


@pytest.fixture(scope="module")
def newest() -> dict[str, str]:
    """The statements of the newest River version."""
    return statements(VERSIONS[-1])


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_statement_is_recognised_by_its_comment(real: dict[str, str], schema: str | None) -> None:
    """As in pg_stat_activity, and in pg_stat_statements up to PostgreSQL 17."""
    found = {name: classify(written(text, schema)).operation for name, text in real.items()}
    assert len(found) > 40
    assert found == {name: name for name in real}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_statement_is_recognised_when_cut(real: dict[str, str], schema: str | None) -> None:
    """As pg_stat_activity cuts at the default track_activity_query_size, and at half of it."""
    for size in (1023, 511):
        cut = {name: written(text, schema).encode()[:size].decode() for name, text in real.items()}
        assert {name: classify(text).operation for name, text in cut.items()} == {name: name for name in real}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_statement_is_recognised_by_its_shape(real: dict[str, str], schema: str | None) -> None:
    """As in pg_stat_statements of PostgreSQL 18: the comment is gone, and constants are parameters."""
    bare = {name: nameless(written(text, schema)) for name, text in real.items()}
    assert {name: classify(text).operation for name, text in bare.items()} == {name: name for name in real}
    plain = {name: normalised(text) for name, text in bare.items()}
    assert {name: classify(text).operation for name, text in plain.items()} == {name: name for name in real}


def test_templates_left_in_a_statement_do_no_harm(real: dict[str, str]) -> None:
    """River's templates are comments; a statement is recognised with them too."""
    assert {name: classify(nameless(text)).operation for name, text in real.items()} == {name: name for name in real}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_the_schema_is_found_where_a_table_is_named(real: dict[str, str], schema: str | None) -> None:
    """Unquoted, whatever its spelling; with and without the name comment."""
    texts = [written(text, schema) for text in real.values() if "river_job" in text]
    assert len(texts) >= 19
    for text in (*texts, *map(nameless, texts)):
        assert classify(text).schema == schema, text


def test_only_completing_statements_complete(real: dict[str, str]) -> None:
    """Those that write the end of jobs, and no others."""
    completing = {name for name, text in real.items() if classify(text).completes}
    assert completing == {name for name in real if name in COMPLETING}
    assert "JobSetStateIfRunningMany" in completing


@pytest.mark.parametrize(("version", "wrapped"), [("v0.16.0", True), ("v0.20.2", True), ("v0.24.0", False)])
@pytest.mark.parametrize("schema", SCHEMAS)
def test_the_text_tells_whether_the_completer_wraps_it(version: str, wrapped: bool, schema: str | None) -> None:
    """Up to v0.22 it sends BEGIN and COMMIT around the statement; the cut text tells it as well."""
    text = written(statements(version)["JobSetStateIfRunningMany"], schema)
    assert classify(text).in_transaction is wrapped
    assert classify(nameless(text)).in_transaction is wrapped
    assert classify(text[:1023]).in_transaction is wrapped


def test_a_text_cut_early_does_not_tell_whether_it_is_wrapped(newest: dict[str, str]) -> None:
    """Unknown is None, not a guess."""
    statement = classify(newest["JobSetStateIfRunningMany"][:200])
    assert (statement.operation, statement.completes, statement.in_transaction) == (
        "JobSetStateIfRunningMany",
        True,
        None,
    )


def test_only_the_comment_over_a_table_of_rivers_is_certain(newest: dict[str, str]) -> None:
    """A shape alone might be anyone's statement, and so might a transaction or a lock."""
    assert classify(newest["JobGetAvailable"]).certain
    assert not classify(nameless(newest["JobGetAvailable"])).certain
    assert not classify(newest["PGAdvisoryXactLock"]).certain
    assert not classify("begin").certain


@pytest.mark.parametrize(
    ("text", "operation", "schema"),
    [
        ("begin", "BEGIN", None),
        ("begin isolation level read committed", "BEGIN", None),
        ("START TRANSACTION", "BEGIN", None),
        ("commit", "COMMIT", None),
        ("COMMIT;", "COMMIT", None),
        ("rollback", "ROLLBACK", None),
        ("rollback to savepoint sp_1", "ROLLBACK", None),
        ("savepoint sp_1", "SAVEPOINT", None),
        ("release savepoint sp_1", "RELEASE", None),
        ('LISTEN "public.river_insert"', "LISTEN", "public"),
        ('LISTEN "my schema.river_leadership"', "LISTEN", "my schema"),
        ('LISTEN "river_control"', "LISTEN", None),
        ('UNLISTEN "public.river_insert"', "UNLISTEN", "public"),
        ('copy "river_job" ( "args", "kind" ) from stdin binary;', "JobInsertFastManyCopyFrom", None),
        ('copy "a b"."river_job" ( "args" ) from stdin binary;', "JobInsertFastManyCopyFrom", "a b"),
        ("REINDEX INDEX CONCURRENTLY river_job_args_index", "IndexReindex", None),
        ('REINDEX INDEX CONCURRENTLY "jobs"."river_job_kind"', "IndexReindex", "jobs"),
        ('DROP INDEX CONCURRENTLY IF EXISTS "river_job_kind_ccnew"', "IndexDropIfExists", None),
        ("SELECT current_schema();", "other_river", None),
        ("SELECT coalesce(current_schema(), $1)", "other_river", None),
        ("-- name: JobGetAvailableLimited :many\nSELECT 1 FROM jobs.river_job", "other_river", "jobs"),
        ("CREATE TABLE river_queue (name text)", "other_river", None),
        ("SELECT pg_notify('public.river_insert', '{}')", "other_river", None),
        ("SELECT kind FROM JOBS.river_job", "other_river", "jobs"),
    ],
)
def test_what_has_no_name_comment_is_recognised(text: str, operation: str, schema: str | None) -> None:
    """Transactions, notifications, COPY, index maintenance, and the unknown on River's tables."""
    statement = classify(text)
    assert (statement.operation, statement.schema) == (operation, schema)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-- ping",
        "SELECT 1",
        "SELECT * FROM jobs WHERE state = 'running'",
        "WITH locked_jobs AS (SELECT id FROM jobs FOR UPDATE SKIP LOCKED) UPDATE jobs SET state = 'running'",
        "-- name: QueueGet :one\nSELECT * FROM queues WHERE name = $1",
        "-- name: TableExists :one\nSELECT count(*) FROM tables",
        "-- name: Unheard :exec\nDELETE FROM accounts",
        "SELECT * FROM driver_license",
        "SELECT pg_notify($1, $2)",
        'LISTEN "orders"',
        "listen",
        "VACUUM ANALYZE accounts",
        "beginning",
    ],
)
def test_other_statements_are_left_alone(text: str) -> None:
    """Statements of other programs, among them sqlc users with the same names, are `other`."""
    statement = classify(text)
    assert (statement.operation, statement.certain) == ("other", False)


def test_every_operation_occurs() -> None:
    """No operation is listed that nothing leads to; Go's `JobCompleteTx` is told by its session."""
    texts = [nameless(text) for version in VERSIONS for text in statements(version).values()]
    texts += ["begin", "commit", "rollback", "savepoint a", "release a", "listen river_insert", "unlisten river_insert"]
    texts += ["copy river_job from stdin", "reindex index concurrently river_job_kind"]
    texts += ["drop index concurrently if exists river_job_kind_ccnew", "select 1", "truncate river_job"]
    assert {classify(text).operation for text in texts} | {"JobCompleteTx"} == set(OPERATIONS)
    assert len(OPERATIONS) == len(set(OPERATIONS))


def broken(seeds: list[str], count: int) -> Iterator[str]:
    """Make texts up: random bytes, random pieces of SQL, and real statements cut and spliced."""
    chance = random.Random(917)  # noqa: S311 - the same texts on every run
    pieces = ['"', '""', "'", "--", "/*", "*/", ".", "\n", "\0", "$1", "(", "\\", "listen ", "river_job", "river_"]
    pieces += ["-- name: ", "-- name: JobList :many", 'x".river_job', ". river_job", "İ", "\udc80", "\u2028", "with "]
    for _ in range(count):
        yield chance.randbytes(chance.randrange(400)).decode(chance.choice(["latin-1", "utf-16-le"]), "replace")
        yield "".join(chance.choices(pieces, k=chance.randrange(40)))
        one, other = chance.choices(seeds, k=2)
        cut = chance.randrange(len(one))
        yield one[:cut] + chance.choice(pieces) + other[chance.randrange(len(other)) :]


def test_no_text_makes_it_raise(newest: dict[str, str]) -> None:
    """Whatever PostgreSQL may show, an operation comes back."""
    for text in broken(list(newest.values()), 3000):
        assert classify(text).operation in OPERATIONS, repr(text)


@pytest.mark.parametrize(
    "piece", ['"', '""."', "/*", "/**/", "--", "--\n", ".river_job", '".river_job', " ", "a.", "river_"]
)
def test_no_text_makes_it_slow(piece: str) -> None:
    """The time grows with the length alone: a long text of any repeated piece takes some milliseconds at most."""
    for text in (
        piece * 1_000_000,
        f"{piece * LONGEST}.river_job",
        f'-- name: JobList :many\n{piece * LONGEST}".river_job',
    ):
        started = time.perf_counter()
        classify(text)
        assert time.perf_counter() - started < 0.1


def test_a_known_text_costs_next_to_nothing_and_a_new_one_little(newest: dict[str, str]) -> None:
    """The limits leave room for a busy machine; what it takes on a calm one stands at `classify`."""
    text = nameless(written(newest["JobSetStateIfRunningMany"], None)) + " " * 1000
    again = min(_seconds(classify, text) for _ in range(2000))
    anew = min(_seconds(_classify.__wrapped__, text) for _ in range(500))
    assert again < 2e-6
    assert anew < 150e-6


def _seconds(function: object, text: str) -> float:
    """Time one call."""
    assert callable(function)
    started = time.perf_counter()
    function(text)
    return time.perf_counter() - started


def test_blanks_after_listen_are_not_searched_again_and_again() -> None:
    """Any session's text is read each second: 8 kB of blanks once took a second of CPU."""
    text = "listen update " + "\n" * 8000 + "update "
    began = time.thread_time()
    assert classify(text).operation == "other"
    assert time.thread_time() - began < 0.1
