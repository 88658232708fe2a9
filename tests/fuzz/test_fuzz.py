"""Whatever comes in from outside ends in a value or in the one error that is declared for it, and in little time.

`make fuzz` tries more examples (FUZZ_EXAMPLES per test) than `make test`. What it once found stands in the unit tests
under a name of its own.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from exporter.collectors.pools.statistics import parse
from exporter.collectors.pools.vocabularies import BY_SERIES
from exporter.config import Duration, Endpoint, dump, examine, keys, variable
from exporter.config.model import Interval, OrNever, Window
from exporter.errors import ConfigError
from exporter.postgres.address import Address
from exporter.river import operations
from exporter.river.operations import OPERATIONS, classify

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "25"))
CLASSIFY_SECONDS = 0.1
"""CPU of one new text of 8 kB; 41 µs are usual, and a text of every session is read each second."""

fuzz = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)


@pytest.fixture(autouse=True)
def _no_secrets_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made-up passwords of one letter would be masked in the logs of other tests of this process."""
    monkeypatch.setattr("exporter.postgres.address.register_secret", lambda _: None)


def _words(*words: str) -> some.SearchStrategy[str]:
    """Texts made of these words and of any other text."""
    return some.lists(some.one_of(some.sampled_from(words), some.text(max_size=6)), max_size=30).map("".join)


# --- connection strings

CONNECTIONS = _words(
    "postgres://", "postgresql://", "mysql://", "host=", "port=", "user=", "password=", "dbname=", "sslmode=",
    "require", "pool_max_conns=", "target_session_attrs=read-write", "search_path=", "app.name=", "options=", "?", "&",
    "=", "@", ":", "/", "//", "%", "%40", "%zz", "%00", "'", "\\", " ", "[", "]", "[::1]", "5432", "99999", "db", ",",
)  # fmt: skip


@fuzz
@given(CONNECTIONS, some.text(min_size=8, max_size=8, alphabet="qxzjkv"))
def test_an_address_is_parameters_or_a_configuration_error(text: str, secret: str) -> None:
    """Also when it is asked for what is left out; the message has neither the password nor the whole text."""
    for url in (text, f"postgres://u:{secret}@h/{text}", f"host=h password={secret} {text}"):
        address = Address("database", Endpoint(url=url), over={"options": "-c statement_timeout=1"})
        assert isinstance(str(address), str)
        try:
            found = address.parameters()
        except ConfigError as error:
            assert secret not in str(error)  # noqa: PT017 - both ends are right
            continue
        assert all(isinstance(value, str) for value in found.values())
        assert secret not in str(address)
        address.not_sent()
        address.pool_max_connections()
        address.unencrypted({})


# --- durations


@fuzz
@given(_words("1", "0", ".", "5", "ms", "s", "m", "h", "d", "never", "9" * 400, "-", " ", "e"))
def test_a_duration_is_seconds_or_a_value_error(text: str) -> None:
    """And what it is written as reads as itself."""
    for kind in (Duration, Interval, Window, OrNever):
        try:
            found = kind.parse(text)
        except ValueError as error:
            assert str(error)  # noqa: PT017
            continue
        assert found > 0
        assert text == "never" or found < float("inf")


@fuzz
@given(some.integers(min_value=1, max_value=10**9).map(lambda milliseconds: milliseconds / 1000))
def test_a_duration_is_written_as_it_is_read(seconds: float) -> None:
    """`check-config` prints what it read, so that it can be used as a file."""
    assert float(Duration.parse(str(Duration(seconds)))) == pytest.approx(seconds, rel=1e-5)


# --- configuration files

_LEAVES = some.one_of(
    some.none(), some.booleans(), some.integers(), some.floats(), some.text(max_size=8), some.dates(),
    some.binary(max_size=4),
    some.sampled_from(["10s", "never", "postgres://a@b/c", "warning", ":10917"]),
)  # fmt: skip
_NAMES = some.one_of(
    some.sampled_from(sorted({part for key in keys() for part in key.split(".")})), some.text(max_size=5),
    some.integers(),
)  # fmt: skip
_TREES = some.recursive(
    _LEAVES, lambda below: some.one_of(some.lists(below, max_size=3), some.dictionaries(_NAMES, below, max_size=5)),
    max_leaves=20
)  # fmt: skip
_KEYS = some.dictionaries(some.sampled_from(sorted(keys())), _TREES, max_size=6)


def _nested(flat: dict[str, object]) -> dict[str, object]:
    tree: dict[str, object] = {}
    for key, value in flat.items():
        *parents, last = key.split(".")
        below = tree
        for parent in parents:
            found = below.setdefault(parent, {})
            if not isinstance(found, dict):
                break
            below = found
        else:
            below[last] = value
    return tree


def _examined(file: Path, text: str | bytes) -> None:
    file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    try:
        loaded = examine(file, {})
    except ConfigError as error:
        assert error.problems  # noqa: PT017
        return
    dump(loaded.config)


@fuzz
@given(some.one_of(_KEYS.map(_nested), _TREES))
def test_a_file_of_any_values_is_a_configuration_or_a_list_of_problems(
    tmp_path_factory: pytest.TempPathFactory, tree: object
) -> None:
    """Of the right keys with wrong values, and of any others."""
    _examined(tmp_path_factory.getbasetemp() / "fuzz.yaml", yaml.safe_dump(tree, allow_unicode=True))


@fuzz
@given(
    some.one_of(
        some.binary(max_size=60),
        _words("river", "database", ":", " ", "\n", "- ", "&a", "*a", "!!python/object:os.x",
               "{", "}", "[", "]", "|",
               "<<", "'", "#", "\t", "!", "? "),
    )
)  # fmt: skip
def test_a_file_of_any_text_is_a_configuration_or_a_list_of_problems(
    tmp_path_factory: pytest.TempPathFactory, text: str | bytes
) -> None:
    """Also what is no YAML, or no UTF-8."""
    _examined(tmp_path_factory.getbasetemp() / "fuzz.yaml", text)


@fuzz
@given(some.sampled_from(sorted(keys())), _words("1", "s", ",", "{", "}", ":", "[", "null", "&a", "*a", "-"))
def test_a_variable_of_any_text_is_a_configuration_or_a_list_of_problems(key: str, text: str) -> None:
    """Every variable."""
    loaded = examine(None, {variable(key): text})
    assert loaded.problems or dump(loaded.config)


# --- pages of pool statistics

PAGES = _words(
    *sorted(BY_SERIES), "{", "}", 'pool="a"', 'state="idle"', ",", " ", "\n", "1", "-1", "1e400", "NaN", "+Inf", "0x1",
    "# TYPE ", "# HELP ", " gauge\n", "_total", "_bucket", '{le="1"}', '\\"', "1 2 3",
)  # fmt: skip


@fuzz
@given(PAGES, some.booleans())
def test_a_page_is_pools_or_a_value_error(text: str, headed: bool) -> None:
    """Values that no pool can have among them; a limit may be missing."""
    try:
        pools = parse(f"# HELP a b\n{text}" if headed else text)
    except ValueError:
        return
    for pool in pools:
        assert pool.free_ratio is None or 0 <= pool.free_ratio <= 1


@fuzz
@given(
    some.lists(
        some.tuples(
            some.sampled_from(sorted(BY_SERIES)),
            some.dictionaries(some.sampled_from(["pool", "state", "name", "db"]), some.text(max_size=5), max_size=2),
            some.one_of(some.floats(), some.integers(min_value=0, max_value=100)),
        ),
        max_size=12,
    )
)  # fmt: skip
def test_a_well_formed_page_is_pools_or_a_value_error(series: list[tuple[str, dict[str, str], float]]) -> None:
    """Any series with any labels and values."""
    lines = []
    for name, labels, value in series:
        inside = ",".join(
            '{}="{}"'.format(key, text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n"))
            for key, text in labels.items()
        )
        lines.append(f"{name}{{{inside}}} {value}")
    test_page = "\n".join(["# TYPE a gauge", *lines, ""])
    try:
        pools = parse(test_page)
    except ValueError:
        return
    for pool in pools:
        assert pool.free_ratio is None or 0 <= pool.free_ratio <= 1


# --- statement texts

STATEMENTS = (
    "update ", "UPDATE", "select ", "river_job", "river_", ".river_job", '"a""b".river_queue', "set ", "state",
    "where ",
    "/* ", "*/", "-- ", "-- name: JobSetStateIfRunningMany :many\n", "/* river:", "'", "''", '"', '""', "$1", "listen ",
    "unlisten ", "river_control", "pg_notify(", "begin", "COMMIT;", "reindex ", "drop ", "\n", "\t", "\0", " ", ";",
    "é",
    "\u2028", "\ud800", "_" * 50,
)  # fmt: skip


@fuzz
@given(_words(*STATEMENTS))
def test_a_statement_is_one_of_the_operations(text: str) -> None:
    """Whatever it is, it is classified, and in the same way a second time."""
    found = classify(text)
    assert found.operation in OPERATIONS
    assert classify(text) == found


@fuzz
@given(
    some.lists(some.sampled_from(STATEMENTS), min_size=1, max_size=3),
    some.lists(some.sampled_from(STATEMENTS), min_size=1, max_size=3).map("".join),
    some.sampled_from(STATEMENTS),
)  # fmt: skip
def test_a_long_statement_is_classified_soon(before: list[str], repeated: str, after: str) -> None:
    """Of 8 kB that repeat what the patterns look for: none of them backtracks over the whole text again and again."""
    text = "".join(before)
    text = (text + repeated * (operations.LONGEST // len(repeated)))[: operations.LONGEST - len(after)] + after
    operations._classify.cache_clear()
    began = time.thread_time()
    classify(text)
    assert time.thread_time() - began < CLASSIFY_SECONDS, re.escape(text[:100])
