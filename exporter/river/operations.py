"""Recognises the text of a statement as one of River's operations.

Texts come from pg_stat_activity (with River's leading name comment, cut at track_activity_query_size) and
from pg_stat_statements (constants replaced; the comment kept up to PostgreSQL 17, dropped from 18 on). An
operation has the name that River's own source gives it (its sqlc name, or its driver's method), so that
whoever reads a metric finds the statement there.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from exporter.river.shapes import BARE_SHAPES, COMMANDS, SHAPES

OPERATIONS = (
    *sorted({shape.operation for shape in (*SHAPES, *BARE_SHAPES)} - {"other_river"}),
    "JobCompleteTx",
    *sorted(set(COMMANDS.values())),
    "LISTEN",
    "UNLISTEN",
    "other_river",
    "other",
)
"""Every operation there is; the values of the label `operation`. `classify` returns each of them but
`JobCompleteTx`, whose text is the completer's own: only its transaction tells them apart."""

COMPLETING = frozenset({"JobSetStateIfRunningMany", "JobSetCompleteIfRunningMany", "JobSetStateIfRunning"})
"""Operations that write the end of jobs."""

LONGEST = 8192
"""Characters that are looked at. River's longest statement has 4,800, and about 20 places for a schema."""

BEGINNING = 600
"""Characters that are looked at when River's tables don't occur; the features of `BARE_SHAPES` lie within 400."""

CACHED = 512
"""Texts remembered: a River sends about 30; with `LONGEST` this bounds the memory to some 4 MB of ASCII."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What a text is.

    Attributes:
        operation: One of `OPERATIONS`.
        schema: The schema written in front of River's names, unquoted; None when there is none (River then
            relies on search_path) or the text was cut before it.
        completes: True when the statement writes the end of jobs, as the batch completer's does.
        in_transaction: Whether the completer of the River version that sends this text wraps it in BEGIN and
            COMMIT: True up to v0.22, False from v0.24 on. v0.23 has the text of v0.24 and still wraps it, so
            False is no proof. None for other operations, and when the text was cut too early to tell.
        certain: True when only River writes such a text: its name comment over its own tables, or LISTEN on
            one of its topics. What a shape alone tells, any program might have written.
    """

    operation: str
    schema: str | None = None
    completes: bool = False
    in_transaction: bool | None = None
    certain: bool = False


OTHER = Statement("other")

_NAME = re.compile(r"\s*-- name: (\w+) :\w+[^\n]*")
_LINE_COMMENT = re.compile(r"--[^\n]*")
_RIVER_WORD = re.compile(r"river_(?<!\wriver_)")  # looked behind afterwards, so that the search is for a fixed text
_QUALIFIED = re.compile(r'\. ?"?river_(?:job\w*|leader|queue|client(?:_queue)?|migration|notification)\b')
_TOPIC = re.compile(r'(?:un)?listen "?(?:(.*)\.)?river_(?:control|insert|leadership)"?;?', re.IGNORECASE)

_ALL_SHAPES = (*SHAPES, *BARE_SHAPES)
_BY_NAME = {name: [shape for shape in _ALL_SHAPES if shape.operation == name] for name in OPERATIONS}
_BY_WORD = {
    word: [shape for shape in _ALL_SHAPES if shape.start.startswith(f"{word} ")]
    for word in {shape.start.partition(" ")[0] for shape in _ALL_SHAPES}
}


def classify(text: str) -> Statement:
    """Tell which of River's operations a text is; `other` for what is none. Raises nothing.

    A text seen before costs about 0.1 µs, a new one of 5 kB up to 50 µs.
    """
    return _classify(text[:LONGEST])


@lru_cache(maxsize=CACHED)
def _classify(text: str) -> Statement:
    """`classify` for a text of at most `LONGEST` characters."""
    comment = _NAME.match(text)
    body = without_comments(text[comment.end() :] if comment else text)
    schema, body = _without_schema(body)
    folded = body.lower().replace('"', "")
    if "river_" not in folded:
        folded = folded[:BEGINNING]
    plain = " ".join(folded.split())
    river = _RIVER_WORD.search(plain) is not None
    if comment:
        shapes = _BY_NAME.get(comment[1])
        if shapes and (river or any(plain.startswith(shape.start) for shape in shapes)):
            return _statement(comment[1], schema, plain, certain=river)
    else:
        known = _command(plain, body)
        if known:
            return known
        operation = _shape(plain, river=river)
        if operation:
            return _statement(operation, schema, plain, certain=False)
    return Statement("other_river", schema) if river else OTHER


def _statement(operation: str, schema: str | None, plain: str, *, certain: bool) -> Statement:
    """Put together what is known of an operation."""
    in_transaction = None
    if operation == "JobSetStateIfRunningMany":
        if "), job_to_update as" in plain:
            in_transaction = True
        elif "), updated as" in plain:
            in_transaction = False
    return Statement(operation, schema, operation in COMPLETING, in_transaction, certain)


def _command(plain: str, body: str) -> Statement | None:
    """Recognise what has no shape: the control of transactions, and LISTEN on a topic of River's."""
    word = plain.partition(" ")[0].rstrip(";")
    if word in COMMANDS:
        return Statement(COMMANDS[word])
    if word in {"listen", "unlisten"}:
        topic = _TOPIC.fullmatch(body.strip())
        return Statement(word.upper(), topic[1] or None, certain=True) if topic else OTHER
    return None


def _shape(plain: str, *, river: bool) -> str | None:
    """Find the operation whose features a plain text has; those on River's tables only if it names one."""
    for shape in _BY_WORD.get(plain.partition(" ")[0], ()) if river else BARE_SHAPES:
        if plain.startswith(shape.start) and all(part in plain for part in shape.has):
            return shape.operation
    return None


def without_comments(text: str) -> str:
    """Take out comments; in one pass each, so that no text makes it slow."""
    if "/*" in text:
        kept = []
        rest = text
        while rest:
            before, _, rest = rest.partition("/*")
            kept.append(before)
            rest = rest.partition("*/")[2]
        text = " ".join(kept)
    return _LINE_COMMENT.sub("", text) if "--" in text else text


def _without_schema(text: str) -> tuple[str | None, str]:
    """Find the schema in front of River's names, and take it out."""
    found = _QUALIFIED.search(text)
    if found is None:
        return None, text
    end = found.start()
    if text[:end].endswith('"'):
        start = text.rfind('"', 0, end - 1)
        while start > 0 and text[start - 1] == '"':  # a doubled quotation mark is one of the name's
            start = text.rfind('"', 0, start - 1)
        schema = text[start + 1 : end - 1].replace('""', '"')
    else:
        start = end
        while start > 0 and (text[start - 1].isalnum() or text[start - 1] in "_$"):
            start -= 1
        schema = text[start:end].lower()
    if start < 0 or not schema:
        return None, text
    prefix = text[start : end + 1]
    for rest in ("river_", '"river_', " river_"):  # River writes a space in JobCountByAllStates
        text = text.replace(prefix + rest, rest)
    return schema, text
