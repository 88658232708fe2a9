"""Configuration: what is accepted, where it may come from, and what is said of what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from exporter.config import Config, Duration, dump, keys, load, variable
from exporter.errors import ConfigError

ROOT = Path(__file__).parents[2]
PASSWORD = "p@ss:w/o%rd"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return where the test's file stands."""
    return tmp_path / "exporter.yaml"


def refused(file: Path, text: str, **environment: str) -> str:
    """Return the message that a file is refused with; it is one line."""
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file, environment)
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(f"{file}:", "FILE:")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("river:\n  timeot: 10s", "FILE:2: river.timeot: no such key; did you mean river.timeout?"),
        ("\n\nrivr: {}", "FILE:3: rivr: no such key; did you mean river?"),
        ("timeout: 10s", "FILE:1: timeout: no such key; did you mean river.timeout?"),
        ("collectors:\n  sesions: {}", "FILE:2: collectors.sesions: no such key; did you mean collectors.sessions?"),
        (
            "collectors:\n  jobs:\n    intervall: 5s",
            "FILE:3: collectors.jobs.intervall: no such key; did you mean collectors.jobs.interval?",
        ),
        ("zzzzzz: 1", "FILE:1: zzzzzz: no such key; config/exporter.yaml lists the keys"),
        ("1: 2", "FILE:1: 1: no such key; config/exporter.yaml lists the keys"),
        ("river: {yes: 2}", "FILE:1: river.True: no such key; config/exporter.yaml lists the keys"),
    ],
)
def test_an_unknown_key_is_named_with_file_line_and_the_nearest_one(file: Path, text: str, message: str) -> None:
    """A typo is found at its line, and the key that was meant is offered where one is near."""
    assert refused(file, text) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("log:\n  level: loud", "FILE:2: log.level: 'loud'; expected one of debug, info, warning, error"),
        ("limits:\n  queues: 0", "FILE:2: limits.queues: 0; expected a whole number >= 1"),
        ("limits:\n  queues: many", "FILE:2: limits.queues: 'many'; expected a whole number"),
        ("web:\n  enable_reload: perhaps", "FILE:2: web.enable_reload: 'perhaps'; expected true or false"),
        ("web:\n  listen_address: 10917", "FILE:2: web.listen_address: 10917; expected text"),
        ("river:\n  schemas: public", "FILE:2: river.schemas: 'public'; expected a list"),
        ("river:\n  schemas: [a, 1]", "FILE:2: river.schemas[1]: 1; expected text"),
        ("river:\n  workers: 2.5", "FILE:2: river.workers: 2.5; expected a whole number"),
        ("thresholds:\n  warning: 20", "FILE:2: thresholds.warning: 20; expected a number <= 10.0"),
        ("thresholds:\n  warning: .nan", "FILE:2: thresholds.warning: nan; expected a number > 0.0"),
        ("database: postgres", "FILE:1: database: 'postgres'; expected a mapping of keys"),
        ("log:", "FILE:1: log: empty; expected a mapping of keys"),
        (
            "collectors:\n  jobs:\n    interval: 5",
            "FILE:3: collectors.jobs.interval: 5 is no duration; write it like 500ms, 10s or 1m30s",
        ),
        (
            "collectors:\n  jobs:\n    enabled: perhaps",
            "FILE:3: collectors.jobs.enabled: 'perhaps'; expected true or false",
        ),
        ("collectors:\n  jobs: 5", "FILE:2: collectors.jobs: 5; expected a mapping of keys"),
    ],
)
def test_a_wrong_value_is_shown_with_its_whole_key_and_what_may_stand_there(
    file: Path, text: str, message: str
) -> None:
    """Key, value and remedy are in the line."""
    assert refused(file, text) == message


@pytest.mark.parametrize("text", ["10", "x", "", "0s", "-5s", "5 s", "1e3s", "5S", "ms"])
def test_what_is_no_duration_above_zero_is_refused(file: Path, text: str) -> None:
    """Nothing is guessed: a bare number could be seconds or milliseconds."""
    assert f"FILE:1: river.timeout: {text!r} is n" in refused(file, f"river: {{timeout: '{text}'}}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sample_interval: 99ms", "FILE:1: sample_interval: '99ms' is too short; give 100ms or more"),
        ("window: 9s999ms", "FILE:1: window: '9s999ms' is too short; give 10s or more"),
        (
            "collectors:\n  jobs:\n    interval: 10ms",
            "FILE:3: collectors.jobs.interval: '10ms' is too short; give 100ms or more",
        ),
    ],
)
def test_an_interval_or_window_that_is_too_short_is_refused(file: Path, text: str, message: str) -> None:
    """It would keep the database busy, or lose a peak between two scrapes."""
    assert refused(file, text) == message


def test_the_shortest_interval_and_window_are_accepted(file: Path) -> None:
    """Also by variable, where what is shorter is said of the variable."""
    file.write_text("sample_interval: 100ms\nwindow: 10s\n")
    config = load(file, {"RIVER_EXPORTER_COLLECTORS_JOBS_INTERVAL": "0.1s"})
    assert (config.sample_interval, config.window, config.collector("jobs").interval) == (0.1, 10.0, 0.1)
    with pytest.raises(ConfigError, match=r"^RIVER_EXPORTER_WINDOW: '1s' is too short; give 10s or more$"):
        load(None, {"RIVER_EXPORTER_WINDOW": "1s"})


@pytest.mark.parametrize(
    ("text", "seconds", "written"),
    [
        ("500ms", 0.5, "500ms"),
        ("10s", 10, "10s"),
        ("1m30s", 90, "90s"),
        ("2h", 7200, "2h"),
        ("1d", 86400, "1d"),
        ("1.5s", 1.5, "1500ms"),
    ],
)
def test_durations_are_read_and_written_as_prometheus_does(text: str, seconds: float, written: str) -> None:
    """What is written out is read in again as the same."""
    read = Duration.parse(text)
    assert (float(read), str(read)) == (seconds, written)
    assert Duration.parse(str(read)) == read


@pytest.mark.parametrize("text", ["1000001ms", "1000.001s", "123456789ms", "1234567d"])
def test_a_long_duration_is_written_without_an_exponent(text: str) -> None:
    """`check-config` prints what can be read again; `1e+06ms` cannot."""
    read = Duration.parse(text)
    assert float(Duration.parse(str(read))) == pytest.approx(float(read), rel=1e-12)


def test_a_duration_that_is_no_number_of_a_computer_is_refused() -> None:
    """Infinite seconds would break every calculation with them."""
    with pytest.raises(ValueError, match="too long"):
        Duration.parse("9" * 400 + "s")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not valid YAML"),
        ("river: {}\nriver: {}", "FILE:2: river stands twice; keep one"),
        ("river:\n  timeout: 1s\n  timeout: 2s", "FILE:3: river.timeout stands twice; keep one"),
        ("- 1", "FILE:1: a configuration file is a mapping of keys"),
        ("a: !!python/object:os.system {}", "not valid YAML"),
    ],
)
def test_what_is_no_configuration_at_all_is_refused(file: Path, text: str, message: str) -> None:
    """Broken YAML, a doubled key, a list, an object."""
    assert message in refused(file, text)


def test_an_unreadable_file_is_named_with_the_reason(file: Path, tmp_path: Path) -> None:
    """Not there, a folder, not UTF-8: one line each, that names the file."""
    with pytest.raises(ConfigError, match=r"exporter.yaml: cannot read the configuration file: No such file"):
        load(file, {})
    with pytest.raises(ConfigError, match="cannot read the configuration file: Is a directory"):
        load(tmp_path, {})
    file.write_bytes(b"river: \xff")
    with pytest.raises(ConfigError, match="cannot read the configuration file: it is not UTF-8"):
        load(file, {})


def test_an_unknown_variable_is_refused_with_the_nearest_one() -> None:
    """A typo in a Deployment must not be ignored."""
    with pytest.raises(ConfigError) as caught:
        load(None, {"RIVER_EXPORTER_RIVER_TIMOUT": "10s"})
    assert str(caught.value) == (
        "RIVER_EXPORTER_RIVER_TIMOUT: no such configuration variable; did you mean RIVER_EXPORTER_RIVER_TIMEOUT?"
    )


def test_a_wrong_value_in_a_variable_is_said_of_the_variable(file: Path) -> None:
    """Also where the file has the same key without a value, as the reference file has."""
    file.write_text("river:\n  workers: null\n")
    with pytest.raises(ConfigError) as caught:
        load(file, {"RIVER_EXPORTER_RIVER_WORKERS": "many"})
    assert str(caught.value) == "RIVER_EXPORTER_RIVER_WORKERS: 'many'; expected a whole number"


@pytest.mark.parametrize(
    "name",
    [
        "SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP_METRICS", "PORT", "PORT_10917_TCP", "PORT_10917_TCP_ADDR",
        "PORT_10917_TCP_PORT", "PORT_10917_TCP_PROTO", "METRICS_SERVICE_HOST", "METRICS_PORT_10917_TCP_ADDR",
    ],
)  # fmt: skip
def test_variables_that_kubernetes_makes_of_a_service_are_left_alone(name: str) -> None:
    """A Service called river-exporter, or river-exporter-metrics, puts them into every pod of its namespace."""
    assert load(None, {f"RIVER_EXPORTER_{name}": "tcp://10.0.0.1:10917"}) == Config()


def test_every_key_has_a_variable() -> None:
    """The path in capitals; lists are split at commas, with or without blanks."""
    config = load(
        None,
        {
            "RIVER_EXPORTER_RIVER_SCHEMAS": "public, Jobs,",
            "RIVER_EXPORTER_RIVER_METRICS_URLS": "http://a/metrics,http://b:1/metrics",
            "RIVER_EXPORTER_COLLECTORS_JOBS_INTERVAL": "30s",
            "RIVER_EXPORTER_COLLECTORS_JOBS_ENABLED": "false",
            "RIVER_EXPORTER_THRESHOLDS_WARNING": "0.2",
            "RIVER_EXPORTER_RIVER_WORKERS": "20",
            "RIVER_EXPORTER_WEB_ENABLE_RELOAD": "true",
        },
    )
    assert config.river.schemas == ("public", "Jobs")
    assert config.river.metrics_urls == ("http://a/metrics", "http://b:1/metrics")
    assert (config.collector("jobs").interval, config.collector("jobs").enabled) == (30.0, False)
    assert (config.thresholds.warning, config.river.workers, config.web.enable_reload) == (0.2, 20, True)
    assert len({variable(key) for key in keys()}) == len(keys())


def test_the_environment_wins_over_the_file_and_a_flag_over_both(file: Path) -> None:
    """Each key by itself: what the environment leaves out, or leaves empty, still comes from the file."""
    file.write_text("river:\n  timeout: 5s\n  workers: 7\nlimits: {queues: 9}\nlog: {level: debug}\n")
    environment = {
        "RIVER_EXPORTER_RIVER_TIMEOUT": "20s",
        "RIVER_EXPORTER_LIMITS_QUEUES": "",
        "RIVER_EXPORTER_LOG_LEVEL": "info",
    }
    config = load(file, environment, {"log.level": "error"})
    assert (config.river.timeout, config.river.workers, config.limits.queues) == (20.0, 7, 9)
    assert config.log.level == "error"


def test_a_wrong_value_is_said_of_the_flag_that_gave_it(file: Path) -> None:
    """Not of the line that the flag replaces."""
    file.write_text("log: {level: debug}\n")
    with pytest.raises(ConfigError, match=r"^--log\.level: 'loud'; expected one of"):
        load(file, {}, {"log.level": "loud"})


def test_everything_that_is_wrong_is_named_at_once(file: Path) -> None:
    """Types, unknown keys, variables and what only several keys together get wrong; each once, with its place."""
    file.write_text(
        "river:\n  timeot: 1s\n  schemas: [a, 1]\n  timeout: 5\n  a.b: 1\n1: 2\nlog: 3\nthresholds: {warning: 0.9}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load(file, {"RIVER_EXPORTER_NOTHING": "x", "RIVER_EXPORTER_RIVER_WORKERS": "many"})
    assert [problem.replace(f"{file}:", "FILE:").partition(";")[0] for problem in sorted(caught.value.problems)] == [
        "FILE:2: river.timeot: no such key",
        "FILE:3: river.schemas[1]: 1",
        "FILE:4: river.timeout: 5 is no duration",
        "FILE:5: river.a.b: no such key",
        "FILE:6: 1: no such key",
        "FILE:7: log: 3",
        "FILE:8: thresholds.warning: 0.9 is not below thresholds.critical, 0.5",
        "RIVER_EXPORTER_NOTHING: no such configuration variable",
        "RIVER_EXPORTER_RIVER_WORKERS: 'many'",
    ]


@pytest.mark.parametrize(
    ("text", "name"),
    [("database: {url_file: /secret/url}", "URL"), ("database: {url: postgres://h/d}", "URL_FILE")],
)
def test_an_address_in_the_environment_wins_over_one_in_the_file(file: Path, text: str, name: str) -> None:
    """However each is given: a URL and a file of one are two ways to say the same."""
    file.write_text(text)
    environment = {f"RIVER_EXPORTER_DATABASE_{name}": "/x"}
    assert load(file, environment) == load(None, environment)


def test_an_address_given_twice_in_one_place_is_refused(file: Path) -> None:
    """Which one would be meant?"""
    assert refused(file, "database:\n  url: postgres://h/d\n  url_file: /x\n") == (
        "FILE:3: database.url_file and FILE:2: database.url are both set; keep one"
    )
    with pytest.raises(ConfigError, match="RIVER_EXPORTER_RIVER_URL_FILE and RIVER_EXPORTER_RIVER_URL are both set"):
        load(None, {"RIVER_EXPORTER_RIVER_URL": "x", "RIVER_EXPORTER_RIVER_URL_FILE": "y"})


def test_what_only_several_keys_together_get_wrong_is_refused(file: Path) -> None:
    """Thresholds the wrong way round, a metrics address that is none, a broken expression."""
    assert refused(file, "thresholds:\n  warning: 0.6\n") == (
        "FILE:2: thresholds.warning: 0.6 is not below thresholds.critical, 0.5"
    )
    assert "'ftp://u:******@h' is no http:// or https:// address" in refused(
        file, "river: {metrics_urls: ['ftp://u:secret@h']}"
    )
    assert "FILE:2: river.sessions.user: '(' is not a regular expression" in refused(
        file, "river:\n  sessions: {user: '('}"
    )


@pytest.mark.parametrize(
    "url",
    [
        f"postgres://river:{PASSWORD}@db:5432/app?sslmode=require",
        "postgres://river:p%40ss%3Aw%2Fo%25rd@db/app",
        f"postgres://db/app?user=river&password={PASSWORD}",
        f"host=db user=river password='{PASSWORD}'",
        f"host=db user=river password={PASSWORD}",
    ],
)
def test_no_password_is_in_the_dump_or_in_a_message(file: Path, url: str) -> None:
    """Wherever it stands, and whatever signs it is made of; a metrics address may have one too."""
    shown = dump(
        load(None, {"RIVER_EXPORTER_DATABASE_URL": url, "RIVER_EXPORTER_RIVER_METRICS_URLS": "http://u:pw1@h"})
    )
    wrong = refused(file, yaml.safe_dump({"database": [url], "river": {"url": {"x": url}}}))
    wrong += refused(file, yaml.safe_dump({"river": {"timeout": "1s", "url": [url]}}))
    for text in (shown, wrong):
        assert "******" in text
        for secret in (PASSWORD, "o%rd", "o%25rd", "ss:w", "pw1"):
            assert secret not in text


def test_the_dump_is_a_configuration_file_that_says_the_same(file: Path) -> None:
    """What check-config prints can be used."""
    config = load(None, {"RIVER_EXPORTER_RIVER_TIMEOUT": "7s", "RIVER_EXPORTER_RIVER_SCHEMAS": "a,b"})
    file.write_text(dump(config))
    assert load(file, {}) == config


def test_the_reference_file_says_what_the_defaults_are() -> None:
    """It names every key there is, those of the collectors aside, and changes nothing."""
    path = ROOT / "config" / "exporter.yaml"
    assert load(path, {}) == Config()
    tree = yaml.safe_load(path.read_text())
    for key in keys():
        if not key.startswith("collectors."):
            below = tree
            for name in key.split("."):
                assert name in below, key
                below = below[name]


@pytest.mark.parametrize(
    ("given", "rescued_after"),
    [
        ("{}", None),
        ("{rescue_after: 10m}", 600.0),
        ("{job_timeout: 2h}", 10_800.0),
        ("{job_timeout: 2h, rescue_after: 4h}", 14_400.0),
        ("{job_timeout: never}", None),
    ],
)
def test_rivers_settings_say_when_a_job_is_rescued(file: Path, given: str, rescued_after: float | None) -> None:
    """As River reckons it: the hour is added to a JobTimeout, and a job without a timeout is left alone."""
    file.write_text(f"river: {{settings: {given}}}")
    assert load(file, {}).river.settings.rescued_after() == rescued_after


def test_never_is_a_duration_where_river_has_it(file: Path) -> None:
    """`never` stands where River takes -1, survives a dump, and is refused elsewhere."""
    file.write_text("river: {settings: {reindexer: never, retention: {completed: 7d, discarded: never}}}")
    settings = load(file, {}).river.settings
    assert settings.reindexer == settings.retention.discarded == float("inf")
    assert str(settings.retention.completed) == "7d"
    written = yaml.safe_load(dump(load(file, {})))["river"]["settings"]
    assert (written["reindexer"], written["retention"]["discarded"]) == ("never", "never")
    file.write_text("river: {settings: {rescue_after: never}}")
    with pytest.raises(ConfigError, match="'never' is no duration"):
        load(file, {})
