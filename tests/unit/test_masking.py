"""Passwords are masked in every form a message may carry them in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

import pytest

from exporter.logs.masking import MASK, clear_secrets, mask, register_secret

HARD = "p@s:s/w%rd'\"\\ é?#&="


@pytest.fixture(autouse=True)
def _no_secrets() -> Iterator[None]:
    """Every test starts and ends with nothing registered."""
    clear_secrets()
    yield
    clear_secrets()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgres://river:pw@db/app", "postgres://river:***@db/app"),
        ("postgresql://:pw@db/app", "postgresql://:***@db/app"),
        ("postgresql+psycopg://river:p@s:s/w%rd@db:5432/app", "postgresql+psycopg://river:***@db:5432/app"),
        ("postgres://river:two words@db/app", "postgres://river:***@db/app"),
        ("postgres:/river:pw@db", "postgres:/river:***@db"),
        ("http://user:p%40ss@host:9187/metrics", "http://user:***@host:9187/metrics"),
        ("http://user://pw@host", "http://user:***@host"),
        ("river:pw@db", "river:***@db"),
        (
            'missing "=" after "postgres:/r:p@w@db" in connection',
            'missing "=" after "postgres:/r:***@db" in connection',
        ),
        ("postgres://a:b@h1/x,postgres://c:d@h2/y", "postgres://a:***@h2/y"),
        ("host=db password=p@:/%w user=river", "host=db password=*** user=river"),
        (r"host=db password=two\ words user=river", "host=db password=*** user=river"),
        (r"password='it\'s a secret' user=river", "password=*** user=river"),
        ("password = 'open quote to the end", "password = ***"),
        ("postgres://db/app?user=river&password=p%40&sslmode=require", "postgres://db/app?user=river&password=***"),
        ("sslpassword=key PGPASSWORD=pw", "sslpassword=*** PGPASSWORD=***"),
        ("{'user': 'river', 'password': 'p w'}", "{'user': 'river', 'password': ***}"),
        ('{"password":"p\\"w","user":"river"}', '{"password":***,"user":"river"}'),
        ("Authorization: Basic cml2ZXI6cHc=", "Authorization: Basic ***"),
        ("authorization: bearer abc.def", "authorization: bearer ***"),
        ("bob: $2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze", "bob: ***"),
    ],
)
def test_a_password_is_masked_by_the_form_it_stands_in(text: str, expected: str) -> None:
    """URLs, conninfo, parameters, dictionaries, headers and hashes are recognised without registration."""
    assert mask(text) == expected.replace("***", MASK)


@pytest.mark.parametrize(
    "text",
    [
        'FATAL: password authentication failed for user "river"',
        "listening on http://127.0.0.1:10917/metrics",
        "database.password_file=/run/secrets/river",
        "postgres://river@db:5432/app?sslmode=require",
        "at 12:30:01 user@example.org asked",
    ],
)
def test_a_text_without_a_password_stays_as_it_is(text: str) -> None:
    """Masking must not eat what an operator needs to read."""
    assert mask(text) == text


@pytest.mark.parametrize(
    "form",
    [
        HARD,
        quote(HARD, safe=""),
        quote(HARD),
        quote(HARD, safe="").lower(),
        quote_plus(HARD),
        json.dumps(HARD)[1:-1],
        repr(HARD)[1:-1],
        HARD.replace("\\", "\\\\").replace("'", "\\'"),
        HARD.replace("@", "%40"),
    ],
)
def test_a_registered_secret_is_masked_however_it_is_encoded(form: str) -> None:
    """As it is, percent-encoded in part or whole and in either case, and with quotes and backslashes escaped."""
    register_secret(HARD)
    assert mask(f"before {form} after") == f"before {MASK} after"


def test_a_secret_registered_percent_encoded_is_masked_decoded() -> None:
    """What stands in a URL reaches the server decoded, and comes back so in its messages."""
    register_secret("p%40ssw%2Frd")
    assert mask("got p@ssw/rd and p%40ssw%2frd") == f"got {MASK} and {MASK}"


def test_a_short_secret_is_masked_as_a_word_only() -> None:
    """Else a password of one letter would turn the log into stars."""
    register_secret("ab")
    assert mask("ab, cabin (ab)") == f"{MASK}, cabin ({MASK})"


def test_a_secret_that_begins_with_another_is_masked_whole() -> None:
    """The tail of the longer one must not remain."""
    register_secret("password-one")
    register_secret("password-one-two")
    assert mask("x password-one-two y") == f"x {MASK} y"


def test_an_empty_secret_masks_nothing() -> None:
    """A URL without a password has nothing to hide."""
    register_secret("")
    assert mask("river") == "river"


def test_old_secrets_are_forgotten_when_many_were_registered() -> None:
    """A password that is rotated for years must not slow each line more and more."""
    for number in range(100):
        register_secret(f"rotated-{number:03d}")
    assert mask("rotated-000 rotated-099") == f"rotated-000 {MASK}"
