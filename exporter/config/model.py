"""Configuration: one frozen, validated object made from a YAML file and `RIVER_EXPORTER_*` variables.

A flag wins over the environment, which wins over the file. Every error names the key, where it stands and the remedy.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, reduce
from math import isinf
from operator import or_
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

import msgspec
import yaml
from msgspec import Meta

from exporter.config.pool import Pool, problems
from exporter.config.section import Section as _Section
from exporter.config.yamlfile import YamlFile
from exporter.errors import ConfigError
from exporter.logs.masking import MASK, mask
from exporter.river.facts import RESCUE_AFTER

PREFIX = "RIVER_EXPORTER_"
# Variables of the prefix that are no configuration keys: the demo's cache folder, the file's own path.
_NOT_KEYS = {f"{PREFIX}CACHE", f"{PREFIX}CONFIG_FILE"}
# Kubernetes adds these to every pod beside a Service called river-exporter-…
_SERVICE_LINKS = re.compile(
    rf"{PREFIX}(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)(ms|s|m|h|d))+")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Duration(float):
    """Seconds, written as Prometheus writes durations: `500ms`, `10s`, `1m30s`, `1h`."""

    least: ClassVar[float] = 0.0
    """The shortest that is accepted, in seconds."""

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read a duration; raises ValueError with an example when it is none, not above zero or below `least`."""
        if not isinstance(text, str) or not _DURATION.fullmatch(text):
            raise ValueError(f"{text!r} is no duration; write it like 500ms, 10s or 1m30s")
        seconds = sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+)(ms|[smhd])", text))
        if seconds <= 0:
            raise ValueError(f"{text!r} is not above zero")
        if isinf(seconds):
            raise ValueError(f"{text[:20]!r}… is too long")
        if seconds < cls.least:
            raise ValueError(f"{text!r} is too short; give {cls(cls.least)} or more")
        return cls(seconds)

    def __str__(self) -> str:
        for unit in ("d", "h", "m", "s"):
            if self % _UNITS[unit] == 0:
                return f"{_plain_number(self / _UNITS[unit])}{unit}"
        return f"{_plain_number(self * 1000)}ms"


def _plain_number(value: float) -> str:
    """Without an exponent, which a duration cannot be read with."""
    return f"{value:.9f}".rstrip("0").rstrip(".")


class Interval(Duration):
    """Seconds between two runs: what runs more often keeps the database busy."""

    least = 0.1


class Window(Duration):
    """Seconds that a peak is held for: a shorter one ends before the next scrape, and within a single attempt."""

    least = 10.0


class OrNever(Duration):
    """Seconds, or the word `never`, which is infinite."""

    @classmethod
    def parse(cls, text: object) -> Self:
        """As `Duration.parse`, or `never`."""
        return cls("inf") if text == "never" else super().parse(text)

    def __str__(self) -> str:
        return "never" if isinf(self) else super().__str__()


Ratio = Annotated[float, Meta(gt=0, le=10, description="a share of the timeout")]
Seconds = Duration
_DURATIONS = (Duration, Interval, Window, OrNever)


class Endpoint(_Section, frozen=True):
    """An address of PostgreSQL or PgBouncer; files are re-read at every connect."""

    url: str | None = None
    url_file: str | None = None
    password_file: str | None = None


class Pgbouncer(Endpoint, frozen=True):
    """PgBouncer's console, and the user whose pool is River's; by default that of `river.url`."""

    user: str | None = None


class Database(Endpoint, frozen=True):
    """What is sampled: straight to PostgreSQL."""

    connect_timeout: Seconds = Duration(5)
    statement_timeout: Seconds = Duration(3)
    lock_timeout: Seconds = Duration(0.2)


class SessionPatterns(_Section, frozen=True):
    """Which sessions are River's beside those seen running one of its statements: regular expressions."""

    application_name: str | None = None
    user: str | None = None


class Retention(_Section, frozen=True):
    """How long River keeps finished jobs, by state."""

    cancelled: OrNever | None = None
    completed: OrNever | None = None
    discarded: OrNever | None = None


class RiverSettings(_Section, frozen=True):
    """Settings of River's client that its database does not show; None is not known."""

    rescue_after: Seconds | None = None
    job_timeout: OrNever | None = None
    reindexer: OrNever | None = None
    retention: Retention = Retention()

    def rescued_after(self) -> float | None:
        """Seconds after its attempt from which River's rescuer may take a job; None where that is not known.

        River's `RescueStuckJobsAfter` is an hour unless set, with a `JobTimeout` that much longer (client.go, v0.51);
        the rescuer leaves a job without a timeout alone.
        """
        if self.job_timeout is not None and isinf(self.job_timeout):
            return None
        if self.rescue_after is not None:
            return float(self.rescue_after)
        return None if self.job_timeout is None else RESCUE_AFTER + float(self.job_timeout)


class River(Endpoint, frozen=True):
    """River itself: the address it uses, its schemas, and where its process exposes its pool."""

    schemas: tuple[Annotated[str, Meta(min_length=1, max_length=63)], ...] = ()
    timeout: Seconds = Duration(10)
    metrics_urls: tuple[str, ...] = ()
    pool: Pool = Pool()
    workers: Annotated[int, Meta(ge=1)] | None = None
    sessions: SessionPatterns = SessionPatterns()
    settings: RiverSettings = RiverSettings()


class Thresholds(_Section, frozen=True):
    """Alert thresholds as shares of the timeout."""

    warning: Ratio = 0.3
    critical: Ratio = 0.5


class CollectorSettings(_Section, frozen=True):
    """One collector's own settings."""

    enabled: bool = True
    interval: Interval | None = None


class Collectors(_Section, frozen=True):
    """One key per collector."""

    budget: CollectorSettings = CollectorSettings()
    completions: CollectorSettings = CollectorSettings()
    election: CollectorSettings = CollectorSettings()
    jobs: CollectorSettings = CollectorSettings()
    lag: CollectorSettings = CollectorSettings()
    locks: CollectorSettings = CollectorSettings()
    maintenance: CollectorSettings = CollectorSettings()
    pgbouncer: CollectorSettings = CollectorSettings()
    pgxpool: CollectorSettings = CollectorSettings()
    probe: CollectorSettings = CollectorSettings()
    retention: CollectorSettings = CollectorSettings()
    river: CollectorSettings = CollectorSettings()
    server: CollectorSettings = CollectorSettings()
    sessions: CollectorSettings = CollectorSettings()
    statements: CollectorSettings = CollectorSettings()
    storage: CollectorSettings = CollectorSettings()
    stuck: CollectorSettings = CollectorSettings()
    table: CollectorSettings = CollectorSettings()
    target: CollectorSettings = CollectorSettings()
    vacuum: CollectorSettings = CollectorSettings()


class Limits(_Section, frozen=True):
    """Caps on label values."""

    queues: Annotated[int, Meta(ge=1, le=1000)] = 50


class Web(_Section, frozen=True):
    """The HTTP server."""

    listen_address: str = ":10917"
    telemetry_path: Annotated[str, Meta(pattern="^/[^?#]*$")] = "/metrics"
    config_file: str | None = None
    enable_reload: bool = False
    details: bool = True
    dashboard_url: Annotated[str, Meta(pattern="^https?://")] | None = None


class Log(_Section, frozen=True):
    """Logging, to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["logfmt", "json"] = "logfmt"


class Config(_Section, frozen=True):
    """The whole configuration, as `config/exporter.yaml` describes it key by key."""

    database: Database = Database()
    river: River = River()
    pgbouncer: Pgbouncer = Pgbouncer()
    thresholds: Thresholds = Thresholds()
    window: Window = Window(60)
    sample_interval: Interval = Interval(1)
    collectors: Collectors = Collectors()
    limits: Limits = Limits()
    web: Web = Web()
    log: Log = Log()

    def collector(self, name: str) -> CollectorSettings:
        """The settings of one collector."""
        settings: CollectorSettings = getattr(self.collectors, name)
        return settings


def load(path: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any] | None = None) -> Config:
    """The configuration of a file (may be None), the environment and command-line flags.

    Args:
        flags: dotted keys with values of the right type; they win over everything.

    Raises:
        ConfigError: something is unknown, of the wrong type, out of range or unreadable; all of it is named.
    """
    return read(path, environment, flags).config


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration, and where each of its keys was given.

    Attributes:
        named: a dotted key as a message names it: `file:line: key`, or the variable or flag that gave it.
        problems: what is wrong; the configuration has the defaults there.
    """

    config: Config
    named: Callable[[str], str]
    problems: tuple[str, ...] = ()


def read(path: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any] | None = None) -> Loaded:
    """As `load`, with where each key was given."""
    loaded = examine(path, environment, flags)
    if loaded.problems:
        raise ConfigError(*loaded.problems)
    return loaded


def examine(path: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any] | None = None) -> Loaded:
    """As `read`, but what is wrong is listed; raises ConfigError only for a file that cannot be read at all."""
    source = _Source(YamlFile.read(path, "configuration file") if path else None)
    wrong: list[str] = []
    for key, text in _environment(environment, wrong).items():
        try:
            source.put(key, _scalar(key, text), variable(key))
        except ConfigError as error:
            wrong += error.problems
    for key, value in (flags or {}).items():
        source.put(key, value, f"--{key.replace('_', '-')}")
    config = _converted(source, wrong)
    wrong += _check(config, source)
    return Loaded(config, source.named, tuple(wrong))


def _converted(source: _Source, wrong: list[str]) -> Config:
    """The configuration; what is wrong is named in `wrong` and its default taken, so that the rest is examined."""
    while True:
        try:
            return msgspec.convert(source.tree, Config, dec_hook=_decode, strict=False)
        except msgspec.ValidationError as error:
            section, name, problem = _explain(error, source)
            wrong.append(problem)
            source.remove(section, name)


def keys() -> dict[str, Any]:
    """Every dotted key with its type."""
    return dict(_leaves(Config, ""))


def schema() -> dict[str, Any]:
    """The JSON schema of a configuration file."""
    return msgspec.json.schema(_as_written(Config))


def dump(config: Config) -> str:
    """The effective configuration as YAML, secrets masked."""
    tree = msgspec.to_builtins(config, enc_hook=str, builtin_types=_DURATIONS)
    for section in ("database", "river", "pgbouncer"):
        if tree[section]["url"]:
            tree[section]["url"] = mask(tree[section]["url"])
    tree["river"]["metrics_urls"] = [mask(url) for url in tree["river"]["metrics_urls"]]
    text: str = yaml.safe_dump(_plain(tree), sort_keys=False)
    return text


class _Source:
    """What is to be validated, and where each of its keys came from.

    Attributes:
        tree: the file's mapping, under what the environment and the flags give.
    """

    def __init__(self, file: YamlFile | None) -> None:
        self._file = file
        self.tree: dict[str, Any] = file.tree if file else {}
        self._given: dict[str, str] = {}

    def put(self, key: str, value: Any, given_by: str) -> None:
        """Set a key over what the file has, `given_by` a variable or flag; `url` and `url_file` replace each other."""
        section, _, last = key.rpartition(".")
        other = {"url": "url_file", "url_file": "url"}.get(last)
        if other and f"{section}.{other}" not in self._given:
            self.remove(section, other)
        _put(self.tree, key, value)
        self._given[key] = given_by

    def remove(self, section: str, name: str) -> None:
        """Leave a key of a section out, with all that stands below it."""
        below = self.value(section) if section else self.tree
        if isinstance(below, dict):
            below.pop(name, None)

    def value(self, key: str) -> Any:
        """What stands at a key, which may end in `[0]`; None where nothing does."""
        found: Any = self.tree
        for name in re.findall(r"[^.\[\]]+", key):
            if isinstance(found, list):
                found = found[int(name)] if name.isdigit() and int(name) < len(found) else None
            else:
                found = found.get(name) if isinstance(found, dict) else None
        return found

    def named(self, key: str) -> str:
        """A key as a message names it: `file:line: key`, or the variable that gave it."""
        whole = key.partition("[")[0]
        if whole in self._given:
            return self._given[whole]
        return f"{self._file.where(whole) if self._file else ''}{key}"


def _environment(environment: Mapping[str, str], wrong: list[str]) -> dict[str, str]:
    """What the variables give, by key; an empty variable gives nothing."""
    known = {variable(key): key for key in keys()}
    found = {}
    for name, text in environment.items():
        if not name.startswith(PREFIX) or name in _NOT_KEYS or _SERVICE_LINKS.fullmatch(name):
            continue
        if name not in known:
            wrong.append(f"{name}: no such configuration variable{_nearest(name, known)}")
        elif text:
            found[known[name]] = text
    return found


def variable(key: str) -> str:
    """The environment variable of a dotted key: `river.url` is `RIVER_EXPORTER_RIVER_URL`."""
    return PREFIX + key.upper().replace(".", "_")


def _scalar(key: str, text: str) -> Any:
    """A variable's text as the file would have it: a list is split at its commas, a mapping is YAML."""
    kind = str(keys()[key])
    if "dict" in kind:
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError:
            raise ConfigError(f"{variable(key)}: no mapping; write it like {{name: value}}") from None
    if "tuple" in kind:
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _put(tree: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        below = tree.get(parent)
        if below is None:
            below = tree[parent] = {}
        if not isinstance(below, dict):
            return  # the file has something else there, which validation names
        tree = below
    tree[last] = value


def _decode(kind: type, value: Any) -> Any:
    if issubclass(kind, Duration):
        return kind.parse(value)
    raise TypeError(kind)


@cache
def _as_written(kind: Any) -> Any:
    """A section's type as a file spells it: durations are texts, so that msgspec can show their defaults."""
    if isinstance(kind, UnionType):
        return reduce(or_, map(_as_written, get_args(kind)))
    if isinstance(kind, type) and issubclass(kind, OrNever):
        return Annotated[str, Meta(pattern=r"^((\d+(\.\d+)?(ms|s|m|h|d))+|never)$")]
    if isinstance(kind, type) and issubclass(kind, Duration):
        least = f"{kind(kind.least)} or more" if kind.least else None
        return Annotated[str, Meta(pattern=r"^(\d+(\.\d+)?(ms|s|m|h|d))+$", description=least)]
    if not (isinstance(kind, type) and issubclass(kind, _Section)):
        return kind
    fields = []
    for each in msgspec.structs.fields(kind):
        written = _as_written(each.type)
        if each.default is msgspec.NODEFAULT:
            fields.append((each.encode_name, written, msgspec.field(default_factory=each.default_factory)))
            continue
        default = msgspec.convert(_plain(msgspec.to_builtins(each.default, builtin_types=_DURATIONS)), written)
        fields.append((each.encode_name, written, default))
    return msgspec.defstruct(kind.__name__, fields, forbid_unknown_fields=True, frozen=True, kw_only=True)


_WORDS = {
    "`array`": "a list",
    "`bool`": "true or false",
    "`float`": "a number",
    "`int`": "a whole number",
    "`object`": "a mapping of keys",
    "`str`": "text",
    "`array | null`": "a list",
    "`float | null`": "a number",
    "`int | null`": "a whole number",
    "`str | null`": "text",
}
"""What msgspec calls by the names of types."""


def _explain(error: msgspec.ValidationError, source: _Source) -> tuple[str, str, str]:
    """The section and the key in it that is wrong, and a message with what stands there and what may."""
    message, _, path = str(error).partition(" - at `")
    if path.startswith("key`"):
        key = next(_drop_no_text(source.tree, ""))
        return "", key, f"{source.named(key)}: no such key; config/exporter.yaml lists the keys"
    key = path.rstrip("`").removeprefix("$").lstrip(".")
    if unknown := re.search(r"unknown field `(.+)`", message):
        name = f"{key}.{unknown[1]}".lstrip(".")
        return key, unknown[1], f"{source.named(name)}: no such key{_nearest(name, keys())}"
    if message.startswith("Expected"):
        wanted = message.partition(", got")[0].removeprefix("Expected ")
        for word, meaning in _WORDS.items():
            wanted = wanted.replace(word, meaning)
        message = f"{_shown(key, source.value(key))}; expected {wanted}"
    elif message.startswith("Invalid enum value"):
        message = f"{_shown(key, source.value(key))}; expected one of {', '.join(get_args(keys()[key]))}"
    section, _, name = key.partition("[")[0].rpartition(".")  # of a list's element the whole list
    return section, name, f"{source.named(key)}: {message}"


_MAY_BE_SECRET = ("river.pool.authorization", "river.pool.basic_auth", "river.pool.http_headers")
"""Keys where a secret may stand by mistake, which an error then must not show."""


def _shown(key: str, value: Any) -> str:
    """A value in a message: never a secret, never long."""
    if value is None:
        return "empty"
    if key.startswith(_MAY_BE_SECRET):
        return MASK
    text = mask(f"{value!r}")
    return text if len(text) <= 60 else f"{text[:57]}..."


def _drop_no_text(tree: Any, prefix: str) -> Iterator[str]:
    """Leave out each key that YAML reads as something else than text, and name it."""
    if isinstance(tree, dict):
        for name, below in list(tree.items()):
            if not isinstance(name, str):
                del tree[name]
                yield f"{prefix}{name}"
            yield from _drop_no_text(below, f"{prefix}{name}.")


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    leaf = {key.rpartition(".")[2]: key for key in known}
    parts = {".".join(key.split(".")[:depth]) for key in known for depth in range(1, key.count(".") + 2)}
    for candidates, translate in ((parts, None), (leaf, leaf)):
        probe = name if translate is None else name.rpartition(".")[2]
        if close := difflib.get_close_matches(probe, sorted(candidates), n=1, cutoff=0.6):
            return f"; did you mean {translate[close[0]] if translate else close[0]}?"
    return "; config/exporter.yaml lists the keys"


def _check(config: Config, source: _Source) -> Iterator[str]:
    """Problems of several keys together, one at a time."""
    for section in ("database", "river", "pgbouncer"):
        endpoint: Endpoint = getattr(config, section)
        if endpoint.url and endpoint.url_file:
            both = f"{source.named(f'{section}.url_file')} and {source.named(f'{section}.url')}"
            yield f"{both} are both set; keep one"
    if config.thresholds.warning >= config.thresholds.critical:
        yield (
            f"{source.named('thresholds.warning')}: {config.thresholds.warning:g} is not below "
            f"thresholds.critical, {config.thresholds.critical:g}"
        )
    for url in config.river.metrics_urls:
        if not re.match(r"https?://[^/]+", url):
            yield (
                f"{source.named('river.metrics_urls')}: {mask(url)!r} is no http:// or https:// address, such as "
                "http://127.0.0.1:8080/metrics"
            )
    for key, why in problems(config.river.pool, config.river.metrics_urls):
        yield f"{source.named(f'river.pool.{key}')}: {why}"
    for pattern in ("application_name", "user"):
        try:
            re.compile(getattr(config.river.sessions, pattern) or "")
        except re.error as error:
            key = f"river.sessions.{pattern}"
            text = getattr(config.river.sessions, pattern)
            yield f"{source.named(key)}: {text!r} is not a regular expression: {error}"


def _leaves(kind: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for each in msgspec.structs.fields(kind):
        if isinstance(each.type, type) and issubclass(each.type, _Section):
            yield from _leaves(each.type, f"{prefix}{each.encode_name}.")
        else:
            yield f"{prefix}{each.encode_name}", each.type


def _plain(value: Any) -> Any:
    if isinstance(value, Duration):
        return str(value)
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
