"""The guides name things that exist: files, metrics, keys, flags; and show the code that is compiled."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from docs import architecture, generate, site_pages
from exporter.catalog import catalog
from exporter.config import keys
from exporter.doctor.run import checks
from tests import words
from tests.documents import documents

ROOT = Path(__file__).parents[2]

OWN = ("budget.md", "comparison.md", "database-role.md", "doctor.md", "faq.md", "pgbouncer.md", "pool-statistics.md")
FOREIGN = {
    "river_job", "river_leader", "river_queue", "river_client", "river_client_queue", "river_migration",
    "river_exporter", "river_schema",
}  # fmt: skip
"""Words that begin like a metric and are tables of River's, the role, or a capability."""


@pytest.fixture(params=OWN)
def guide(request: pytest.FixtureRequest) -> str:
    """Return each guide's text."""
    name: str = request.param
    return (ROOT / "docs" / name).read_text()


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    """Every link into the repository, of every document: the file is there, and the heading in it."""
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        name, _, heading = target.partition("#")
        file = path.parent / name if name else path
        assert file.exists(), target
        assert not heading or heading in headings(file), target


def headings(path: Path) -> set[str]:
    """The headings of a document as links spell them: small letters, spaces as hyphens, no other signs."""
    found = re.findall(r"(?m)^#+ (.+)$", path.read_text())
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in found}


def test_headings_are_spelt_as_links_spell_them() -> None:
    """As GitHub does."""
    assert "5-is-everything-well" in headings(ROOT / "docs" / "kubernetes.md")


def test_metrics_exist(guide: str) -> None:
    """Every name that begins with river_ is one of a metric, or of a table of River's."""
    names = set(re.findall(r"\briver_[a-z_]+[a-z]\b", guide)) - FOREIGN
    known = {name for name, _ in ((metric.name, owners) for metric, owners in catalog().values())}
    assert {name for name in names if name not in known and not name.startswith("river_job_")} == set()


MAPPINGS = {key for key, kind in keys().items() if "dict" in str(kind)}


def paths(values: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """The dotted names of all values that are no mappings."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from paths(value, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def test_configuration_shown_has_only_known_keys(guide: str) -> None:
    """Blocks of YAML are parts of a configuration file."""
    for block in re.findall(r"```yaml\n(.*?)```", guide, flags=re.DOTALL):
        for path in paths(yaml.safe_load(block)):
            # what stands below a mapping, such as a label's name, is the user's
            assert path in keys() or any(path.startswith(f"{each}.") for each in MAPPINGS), path


def test_checks_named_in_guides_exist(guide: str) -> None:
    """`doctor` (check `x`) names a check there is."""
    names = {check.name for _, group in checks() for check in group}
    named = {
        name
        for words in re.findall(r"checks?(?: are)? (`[^.)|]*`)", guide)
        for name in re.findall(r"`([a-z-]+)`", words)
    }
    assert named <= names


def test_the_pools_code_shown_is_the_code_that_is_run() -> None:
    """Each block stands in a file under tests/pool_snippets, word by word; Ruby's alone is not run, and says so."""
    text = (ROOT / "docs" / "pool-statistics.md").read_text()
    blocks = re.findall(r"<!-- (\S+) -->\n```(\w+)\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) == len(re.findall(r"```(?:go|js|java|rust)\n", text)) == 8
    for path, _, block in blocks:
        assert (ROOT / path).read_text() == block
    assert text.count("```ruby") == text.count("<!-- not run by a test -->\n```ruby") == 1


def test_what_is_generated_is_current() -> None:
    """`make generate` was run: the versions in the README, the words in the glossary, the picture of the layers."""
    assert generate.README.read_text(encoding="utf-8") == generate.readme()
    assert generate.GLOSSARY.read_text(encoding="utf-8") == generate.glossary()
    assert architecture.PICTURE.read_text(encoding="utf-8") == architecture.picture()


def test_the_picture_of_the_layers_has_every_module_and_folder() -> None:
    """Each module below `exporter/` has a box; leaves without a rule are named here."""
    drawn = {module for layer in architecture.layers() for module in layer}
    below = (path for path in (ROOT / "exporter").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists())
    assert {f"exporter.{path.stem}" for path in below} - drawn == {"exporter.__init__", "exporter.version"}


def test_the_files_that_contributing_names_exist() -> None:
    """A step that names a file that was moved helps no one; NAME and NN stand for any."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:exporter|config|dashboards|tests|docs|helm)/[\w./]*)`", text))
    assert len(named) > 30
    assert {each for each in named if "NAME" not in each and not (ROOT / each).exists()} == set()


def test_the_readme_is_short() -> None:
    """A reader decides within two screens."""
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


def test_words_of_the_list_are_found_in_prose_alone() -> None:
    """Code, quotations and links are another's words."""
    text = "Nobody `told` us.\n\n> who said\n\n[it](told.md) leads to\n\n```sh\nsay anew\n```\n\nit leads."
    assert [(each.where, each.word) for each in words.look("x", words.prose(text))] == [
        ("x:1", "Nobody"),
        ("x:11", "leads"),
    ]


def test_every_word_of_the_list_is_found() -> None:
    """Each first spelling in the glossary's table is matched by its own pattern."""
    for shown, pattern, _ in words.WORDS:
        for each in shown.split(", "):
            assert re.search(rf"\b(?:{pattern})\b", each), each


def test_the_site_has_every_document_and_its_links_lead_somewhere() -> None:
    """Each page of docs/ is in the navigation but runbooks, which their index lists; `make docs` builds the same."""
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    named = set(re.findall(r"[\w./-]+\.md", yaml.safe_dump(site["nav"])))
    assert named == {path.name for path in (ROOT / "docs").glob("*.md")} | set(site_pages.PAGES.values())
    for page in named:
        source = next((each for each, made in site_pages.PAGES.items() if made == page), f"docs/{page}")
        text = site_pages.content(source)
        assert site_pages.on_page_markdown(text, SimpleNamespace(file=SimpleNamespace(src_uri=page)))
    with pytest.raises(ValueError, match="nowhere"):
        site_pages.on_page_markdown("[x](gone.md)", SimpleNamespace(file=SimpleNamespace(src_uri="faq.md")))
