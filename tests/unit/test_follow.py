"""Following a configuration file that changes beneath the exporter, and waiting while it is wrong."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from exporter.errors import ConfigError
from exporter.reload import Ending, Follower, wait_out
from tests.testbed.process import free_port, wait_for


def mount(folder: Path, text: str) -> None:
    """Write a file as kubelet writes a ConfigMap: a new folder, and a link that is moved onto it."""
    version = folder / f"..{len(list(folder.iterdir()))}"
    version.mkdir()
    (version / "exporter.yaml").write_text(text)
    link = folder / "..new"
    link.symlink_to(version.name)
    link.replace(folder / "..data")
    if not (folder / "exporter.yaml").is_symlink():
        (folder / "exporter.yaml").symlink_to("..data/exporter.yaml")


def test_a_changed_config_map_is_noticed_once(tmp_path: Path) -> None:
    """The file behind the links is another one after each change; looking again finds nothing new."""
    mount(tmp_path, "a: 1")
    follower = Follower(tmp_path / "exporter.yaml")
    assert not follower.changed()
    mount(tmp_path, "a: 2")
    assert follower.changed()
    assert not follower.changed()


def test_a_file_that_is_away_for_a_moment_is_no_change(tmp_path: Path) -> None:
    """Editors delete and write anew: only the new file counts."""
    path = tmp_path / "exporter.yaml"
    path.write_text("a: 1")
    follower = Follower(path)
    path.unlink()
    assert not follower.changed()
    path.write_text("a: 22")
    assert follower.changed()


def test_without_a_file_nothing_ever_changes() -> None:
    """An exporter that is configured by environment alone has nothing to follow."""
    assert not Follower(None).changed()


def test_a_right_configuration_is_not_waited_for() -> None:
    """Nothing listens in between: what was made is returned at once."""
    assert wait_out(lambda: "made", {"web.listen_address": "none"}, Ending()) == "made"


def waiting(
    make: Callable[[], str], ended: Ending, web_config: str | None = None
) -> tuple[str, threading.Thread, list[str | None]]:
    """Wait in a thread; returns the address that is served meanwhile, the thread, and where its result goes."""
    listen = f"127.0.0.1:{free_port()}"
    flags = {"web.listen_address": listen, "web.config_file": web_config}
    results: list[str | None] = []
    thread = threading.Thread(target=lambda: results.append(wait_out(make, flags, ended)))
    thread.start()
    return f"http://{listen}", thread, results


def answers(url: str) -> bool:
    """Whether something is served."""
    try:
        return requests.get(f"{url}/-/healthy", timeout=5).ok
    except requests.ConnectionError:
        return False


def test_a_wrong_configuration_is_served_until_it_is_right(caplog: pytest.LogCaptureFixture) -> None:
    """A sidecar is healthy all the while, says what is wrong, and goes on by itself: River is never kept waiting."""
    wrong = ["a.yaml:1: first", "a.yaml:2: second", "a.yaml:2: second"]

    def make() -> str:
        if wrong:
            raise ConfigError(wrong.pop(0))
        return "made"

    url, thread, results = waiting(make, Ending())
    wait_for(lambda: answers(url), 5, "the health page")
    assert requests.get(f"{url}/-/ready", timeout=5).status_code == 503
    assert "a.yaml" in requests.get(f"{url}/-/ready", timeout=5).text
    assert "river_exporter_config_last_reload_successful 0.0" in requests.get(f"{url}/metrics", timeout=5).text
    thread.join(10)
    assert results == ["made"]
    assert not answers(url)
    said = [record.getMessage() for record in caplog.records if record.name == "exporter.reload"]
    assert len(said) == 2, said


def test_waiting_ends_when_told_to() -> None:
    """SIGTERM ends an exporter that never had a right configuration."""

    def make() -> str:
        raise ConfigError("never right")

    ended = Ending()
    url, thread, results = waiting(make, ended)
    wait_for(lambda: answers(url), 5, "the health page")
    ended.told()
    thread.join(5)
    assert results == [None]


def test_a_wrong_web_configuration_is_waited_out_too(tmp_path: Path) -> None:
    """Without TLS then, as nobody knows of any: what counts is that something answers."""
    (tmp_path / "web.yaml").write_text("tls_server_config: {cert_file: none.crt, key_file: none.key}\n")

    def make() -> str:
        raise ConfigError("web.yaml: no such certificate")

    ended = Ending()
    url, thread, results = waiting(make, ended, str(tmp_path / "web.yaml"))
    wait_for(lambda: answers(url), 5, "the health page")
    ended.told()
    thread.join(5)
    assert results == [None]


def test_it_lingers_after_the_first_signal_and_ends_at_the_second() -> None:
    """What River did at its end is still scraped; whoever insists does not wait."""
    ending = Ending(linger=60)
    assert not ending.wait(0)
    ending.told()
    assert not ending.wait(0)
    ending.told()
    assert ending.wait(0)


def test_without_lingering_the_first_signal_ends_it() -> None:
    """As every server does."""
    ending = Ending()
    ending.told()
    assert ending.wait(60)
