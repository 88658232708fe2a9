"""Recognises the text of a statement as one of River's operations, whichever runtime sent it.

Texts come from pg_stat_activity (cut at track_activity_query_size) and from pg_stat_statements (constants replaced by
parameters; leading comments kept up to PostgreSQL 17, dropped from 18 on). They are recognised by their structure, so
that blanks, quotes and comments make no difference. An operation has its name in River for Go, where a reader finds the
statement.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from exporter.river import common
from exporter.river.common import COMMANDS
from exporter.river.javascript import JAVASCRIPT, MARKERS
from exporter.river.runtime import Shape
from exporter.river.supported import SUPPORTED

_ALL_SHAPES = tuple(
    shape
    for shapes in (common.SHAPES, common.BARE_SHAPES, *((each.shapes + each.bare) for each in SUPPORTED))
    for shape in shapes
)

OPERATIONS = (
    *sorted({shape.operation for shape in _ALL_SHAPES} - {"other_river"}),
    *sorted(set(COMMANDS.values())),
    "LISTEN",
    "UNLISTEN",
    "other_river",
    "other",
)
"""Every operation there is; the values of the label `operation`. Rust completes a job in its user's transaction by a
text of its own, `JobCompleteTx`; the other runtimes by the completer's, which only its transaction distinguishes."""

COMPLETING = frozenset({"JobSetStateIfRunningMany", "JobSetCompleteIfRunningMany", "JobSetStateIfRunning"})
"""Operations that write the end of jobs."""

LONGEST = 8192
"""Characters that are compared. River's longest statement has 4,800, and about 20 places for a schema."""

BEGINNING = 600
"""Characters that are compared when River's tables don't occur; the features of bare shapes lie within 400."""

LONGEST_TAIL = 600
"""Characters from the end of a text within which a comment after the statement has to begin."""

CACHED = 512
"""Texts remembered: a River sends about 30; with `LONGEST` this bounds the memory to some 4 MB of ASCII."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What a text is.

    Attributes:
        operation: One of `OPERATIONS`.
        schema: The schema written in front of River's names, unquoted; None when there is none (River then
            relies on search_path) or the text was cut before it.
        completes: True when the statement writes the end of jobs, as a completer does.
        in_transaction: Whether the completer of the River that sends this text wraps it in BEGIN and COMMIT: True for
            Go up to v0.22 and for Java. Go's v0.23 has the text of v0.24 and still wraps it, so False is no proof.
            None for other operations, and when the text was cut before the difference.
        certain: True when only River writes such a text: its comment over its own tables, LISTEN on one of its
            topics, or a statement that no other program has a use for. A shape alone is no proof: any program might
            have sent it.
        runtime: The name of the one runtime that sends this text, None where several do or none of them.
    """

    operation: str
    schema: str | None = None
    completes: bool = False
    in_transaction: bool | None = None
    certain: bool = False
    runtime: str | None = None


OTHER = Statement("other")

_MAYBE_COMMENT = frozenset("-/ \t\n\r\f\v\u2028")
_HEAD = re.compile(r"(?:\s+|/\*(?! river:\w+ \*/)[^*]*+\*++(?:[^/*][^*]*+\*++)*+/|--(?! name: )[^\n]*+(?:\n|\Z))*+")
_NAME = re.compile(r"-- name: (\w+) :\w+[^\n]*")
_MARKER = re.compile("|".join(map(re.escape, MARKERS)))
_COMMENT = re.compile(r"'[^'\n]*+(?:''[^'\n]*+)*+'|--[^\n]*+|/\*.*?(?:\*/|\Z)", re.DOTALL)
_TABLES = "job|leader|queue|client|client_queue|migration|notification"
_PRO_TABLES = "job_dead_letter|job_sequence|job_sequence_inbox|periodic_job|producer|sequence|workflow|workflow_[a-z]+"
_OBJECTS = "job_state|job_state_in_bitmask|job_id_seq|job_notify"
# The condition on what stands before comes last, so that the search is for a fixed text.
_RIVER = re.compile(rf"river_(?<![\w$]river_)(?:{_TABLES}|{_OBJECTS}|{_PRO_TABLES})(?![\w$])")
_PRO = re.compile(rf"river_(?<![\w$]river_)(?:{_PRO_TABLES})(?![\w$])")
_INDEX = re.compile(r"river_(?<![\w$]river_)job_\w+")
_NOTIFIES = re.compile(r"river_(?:control|insert|leadership)(?!\w)")
_QUALIFIED = re.compile(r'\. ?"?river_(?:job\w*|leader|queue|client(?:_queue)?|migration|notification)\b')
_UPDATE = re.compile(r"\bupdate\s+[\w.$]+[^\w.$]")
_LISTEN = re.compile(r'(?:un)?listen\s++("(?:[^"]|"")*"|[^\s;"]+)\s*+(?:;|$)', re.IGNORECASE)
_TOPIC = re.compile(r"(?:(.*)\.)?river_(?:control|insert|leadership)", re.DOTALL)


def _squeezed(text: str) -> str:
    return "".join(text.split())


@dataclass(frozen=True, slots=True)
class _Known:
    """A shape as it is compared, and what a text of it is, but for the schema."""

    start: str
    has: tuple[str, ...]
    alone: str
    statement: Statement

    def fits(self, plain: str) -> bool:
        return plain.startswith(self.start) and all(part in plain for part in self.has)


def _known(shapes: Iterable[tuple[Shape, str | None]]) -> list[_Known]:
    """Put shapes into the form in which they are compared, the longest first; one of several runtimes names none."""
    found: dict[tuple[str, str, tuple[str, ...]], _Known] = {}
    for shape, runtime in shapes:
        has = tuple(map(_squeezed, shape.has))
        completes = shape.operation in COMPLETING
        statement = Statement(shape.operation, None, completes, shape.wrapped, shape.certain, runtime)
        known = _Known(_squeezed(shape.start), has, _squeezed(shape.alone), statement)
        key = (shape.operation, known.start, has)
        if key in found:
            known = replace(found[key], statement=replace(found[key].statement, runtime=None))
        found[key] = known
    return sorted(found.values(), key=lambda known: (-len(known.start), -sum(map(len, known.has))))


def _by_word(known: Iterable[_Known], words: Iterable[str]) -> dict[str, list[tuple[str, _Known]]]:
    return {word: [(each.start, each) for each in known if each.start.startswith(word)] for word in words}


_WORDS = {shape.start.split()[0] for shape in _ALL_SHAPES}
_KNOWN = _known(
    [(shape, None) for shape in common.SHAPES]
    + [(shape, runtime.name) for runtime in SUPPORTED for shape in runtime.shapes]
)
_BARE = _by_word(
    _known(
        [(shape, None) for shape in common.BARE_SHAPES]
        + [(shape, runtime.name) for runtime in SUPPORTED for shape in runtime.bare]
    ),
    _WORDS,
)
_SHAPES = _by_word(_KNOWN, _WORDS)
_ALONE = [known for known in _KNOWN if known.alone]
_BY_NAME = {
    name: [
        known
        for shapes in (*_SHAPES.values(), *_BARE.values())
        for _, known in shapes
        if known.statement.operation == name
    ]
    for name in OPERATIONS
}


def classify(text: str) -> Statement:
    """Return which of River's operations a text is; `other` for what is none. Raises nothing.

    Comments before and after the statement, which may be another one each time (traceparent), are removed before the
    text is looked up in the cache. CPU time, measured on a busy machine: a cached text of up to 1 kB 0.2 to 1.2 µs, 0.8
    to 1.6 µs with a comment before it, 1.0 to 2.1 µs with one after it; a new text 14 µs (1 kB) to 41 µs (River for
    Go's longest, 4 kB).
    """
    return _classify(_statement_text(text))


def _statement_text(text: str) -> str:
    """Remove comments before and after a statement, but for the one that names it; at most `LONGEST` characters."""
    text = text[:LONGEST]
    if text[:1] in _MAYBE_COMMENT:
        text = _without_head(text)
    return _without_tail(text) if "/" in text else text


def _without_tail(text: str) -> str:
    """Remove one comment after a statement, also one that was cut."""
    begin = text.rfind("/*", -LONGEST_TAIL)
    if begin > 0 and text.count("'", 0, begin) % 2 == 0:  # else it lies in a string constant
        end = text.find("*/", begin + 2)
        if end < 0 or not text[end + 2 :].strip("; \n"):
            return text[:begin].rstrip()
    return text


def _without_head(text: str) -> str:
    """Remove white space and comments before a statement, but for the one that names it."""
    begin = _HEAD.match(text).end()  # type: ignore[union-attr]
    if text.startswith("/*", begin) and not _MARKER.match(text, begin):  # cut within the comment
        return ""
    return text[begin:]


@lru_cache(maxsize=CACHED)
def _classify(text: str) -> Statement:
    """`classify` for what `_statement_text` left of a text."""
    named = _NAME.match(text)
    marked = None if named else _MARKER.match(text)
    if named or marked:
        text = text[(named or marked).end() :]  # type: ignore[union-attr]
    body = without_comments(text)
    schema, body = _without_schema(body)
    folded = body.lower().replace('"', "")
    river = _names_river(folded)
    words = (folded if river else folded[:BEGINNING]).split()
    plain, word = "".join(words), words[0].rstrip(";") if words else ""
    if named:
        found = _named(named[1], plain, river=river)
    elif marked:
        found = _marked(MARKERS[marked[0]], plain, river=river)
    elif command := _command(word, body):
        return command
    elif river:
        found = None if _PRO.search(folded) else _fitting(_SHAPES, plain, word)
    else:
        found = _fitting(_BARE, plain, word)
        if found is None and (cut := _without_table(plain)) and not _UPDATE.search(folded):
            found = cut
    if found is not None:
        return found if schema is None else replace(found, schema=schema)
    return Statement("other_river", schema) if river or _notifies(plain) else OTHER


def _names_river(folded: str) -> bool:
    """Whether one of River's tables, types or sequences is named outside of string constants."""
    if folded.lstrip().startswith(("reindex", "drop")) and _INDEX.search(folded):
        return True
    return any(folded.count("'", 0, found.start()) % 2 == 0 for found in _RIVER.finditer(folded))


def _notifies(plain: str) -> bool:
    return plain.startswith("selectpg_notify(") and _NOTIFIES.search(plain) is not None


def _named(name: str, plain: str, *, river: bool) -> Statement | None:
    """Recognise a statement by River for Go's comment, if what follows fits it."""
    shapes = _BY_NAME.get(name)
    if not shapes:
        return None
    completes = name in COMPLETING
    fitting = next((known for known in shapes if known.fits(plain)), None)
    cut = completes and any(known.start.startswith(plain) for known in shapes)
    if not (river or cut or fitting or any(plain.startswith(known.start) for known in shapes)):
        return None
    wrapped = fitting.statement.in_transaction if fitting and fitting.statement.runtime == "go" else None
    return Statement(name, None, completes, wrapped, certain=river, runtime="go")


def _marked(operation: str, plain: str, *, river: bool) -> Statement | None:
    """Recognise a statement by River for JavaScript's comment, if what follows fits it or was cut off."""
    shapes = [known for known in _BY_NAME[operation] if known.statement.runtime in {JAVASCRIPT.name, None}]
    if not plain or not any(plain.startswith(known.start) or known.start.startswith(plain) for known in shapes):
        return None
    completes = operation in COMPLETING
    return Statement(operation, None, completes, False if completes else None, certain=river, runtime=JAVASCRIPT.name)


def _command(word: str, body: str) -> Statement | None:
    """Recognise what has no shape: the control of transactions, and LISTEN on topics of River's, one or several."""
    if word in COMMANDS:
        return Statement(COMMANDS[word])
    if word in {"listen", "unlisten"}:
        for one in _LISTEN.finditer(body):
            channel = one[1][1:-1].replace('""', '"') if one[1].startswith('"') else one[1].lower()
            topic = _TOPIC.fullmatch(channel)
            if topic:
                return Statement(word.upper(), topic[1] or None, certain=True)
        return OTHER
    return None


def _fitting(shapes: dict[str, list[tuple[str, _Known]]], plain: str, word: str) -> Statement | None:
    """Find the statement whose features a text has."""
    for start, known in shapes.get(word, ()):
        if plain.startswith(start) and known.fits(plain):
            return known.statement
    return None


def _without_table(plain: str) -> Statement | None:
    """Recognise a completing statement that was cut before it names a table."""
    for known in _ALONE:
        if plain.startswith(known.alone):
            return replace(known.statement, in_transaction=_wrapped(known), certain=False)
    return None


def _wrapped(known: _Known) -> bool | None:
    """Whether all shapes with this beginning are wrapped, as a text that ends there has no other sign of it."""
    all_wrapped = {each.statement.in_transaction for each in _ALONE if each.alone == known.alone}
    return known.statement.in_transaction if len(all_wrapped) == 1 else None


def without_comments(text: str) -> str:
    """Remove comments, and leave what looks like one in a string constant of one line."""
    if "/" in text and "/*" in text:
        text = _COMMENT.sub(_constant_or_blank, text)
    if "--" in text:
        text = "\n".join([_without_line_comment(line) if "--" in line else line for line in text.split("\n")])
    return text


def _constant_or_blank(found: re.Match[str]) -> str:
    return " " if found[0].startswith("/*") else found[0]


def _without_line_comment(line: str) -> str:
    at = line.find("--")
    while at >= 0 and line.count("'", 0, at) % 2:
        at = line.find("--", at + 1)
    return line if at < 0 else line[:at]


def _without_schema(text: str) -> tuple[str | None, str]:
    """Find the schema in front of River's names, and remove it."""
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
    for rest in ("river_", '"river_', " river_"):  # River for Go writes a space in JobCountByAllStates
        text = text.replace(prefix + rest, rest)
    return schema, text
