"""The pages as they were built: nothing is loaded from elsewhere, every link inside leads somewhere."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "docs" / "_build" / "html"


class Page(HTMLParser):
    """What a page loads, where it leads, and where one can land on it."""

    def __init__(self, path):
        super().__init__()
        self.loads, self.links, self.places = [], [], {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.places.update(found[name] for name in ("id", "name") if name in found)
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif tag == "link" and found.get("rel") not in ("canonical", "next", "prev", "search", "index"):
            self.loads.append(found["href"])
        elif tag in ("script", "img", "iframe", "source", "video", "audio", "object") and "src" in found:
            self.loads.append(found["src"])
        elif tag == "object" and "data" in found:
            self.loads.append(found["data"])


@pytest.fixture(scope="module")
def pages():
    found = {path: Page(path) for path in SITE.rglob("*.html") if path.parent.name != "_static"}
    assert len(found) > 100
    return found


def test_nothing_is_loaded_from_elsewhere(pages):
    for path, page in pages.items():
        for address in page.loads:
            parts = urlsplit(address)
            assert not parts.scheme and not parts.netloc or parts.scheme == "data", f"{path}: {address}"
            assert parts.scheme == "data" or (path.parent / unquote(parts.path)).exists(), f"{path}: {address}"


def test_style_sheets_load_nothing_from_elsewhere():
    for path in SITE.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        for address in re.findall(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)", text):
            assert not re.match(r"(https?:)?//", "".join(address)), f"{path}: {address}"


def test_every_link_inside_leads_somewhere(pages):
    lost = set()
    for path, page in pages.items():
        for address in page.links:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.exists() or (target in pages and unquote(parts.fragment) not in pages[target].places):
                lost.add(f"{path.relative_to(SITE)}: {address}")
    assert not lost, "\n".join(sorted(lost))


def test_the_search_finds_what_is_asked_for():
    """The index that the browser reads: a word of a tutorial, a function, an equation's word."""
    text = (SITE / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(text[text.index("(") + 1 : text.rindex(")")])
    for word in ("surrog", "checkpoint", "softmax", "wolf"):
        assert word in index["terms"], word
    assert any("Network" in str(entry) for entry in index["objects"].values())


def test_the_seven_equations_have_the_numbers_that_docstrings_cite():
    page = (SITE / "explanation" / "theory.html").read_text(encoding="utf-8")
    labels = ["net-input", "output", "cost", "delta-output", "delta-hidden", "gradient", "update"]
    found = re.findall(r'id="equation-([a-z-]+)".*?<span class="eqno">\((\d+)\)', page, re.DOTALL)
    assert found == [(label, str(i)) for i, label in enumerate(labels, 1)]
