"""Every block of Python on a page does what the page says; what pages name is there; lines keep within their length."""

import doctest
import pkgutil
import re
from pathlib import Path

import pytest
from foreign_files import path_of
from matplotlib import pyplot as plt

import fastbp

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(fastbp.__file__).parent
WRITTEN = ("_build", "gallery", "generated", "tables")
"""Folders of docs that the build writes."""
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("bench/*.md"),
                *(path for path in ROOT.glob("docs/**/*.md") if not set(path.parts) & set(WRITTEN))])
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
READ = {"model.pt": "checkpoint.pt", "model.keras": "functional.keras", "network.net": "plain.net",
        "network.m": "regression.m", "train.data": "train.data"}
"""Files that docs/how-to/formats.md reads, and which of tests/formats/files they are."""
LONGEST = 120

of_pages = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())


def blocks(path):
    return BLOCK.findall(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", [path for path in PAGES if blocks(path)],
                         ids=lambda path: path.relative_to(ROOT).as_posix())
def test_python_on_pages_runs(path, tmp_path, monkeypatch):
    """Plain blocks of a page run as one script; sessions with >>> print what they show."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name, of in READ.items() if path.stem == "formats" else ():
        (tmp_path / name).write_bytes(path_of(of, tmp_path).read_bytes())
    script = "\n".join(block for block in blocks(path) if ">>>" not in block)
    exec(compile(script, path.name, "exec"), {"__name__": "__main__"})
    session = "\n".join(block for block in blocks(path) if ">>>" in block)
    output = []
    failed, _ = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(
        doctest.DocTestParser().get_doctest(session, {}, path.name, str(path), 0), out=output.append)
    assert not failed, "".join(output)
    plt.close("all")


def test_the_readme_fits_on_a_few_screens_and_begins_with_an_example_to_paste():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count("\n") <= 120
    lines = [line for line in BLOCK.search(text)[1].splitlines() if line.strip()]
    assert len(lines) <= 15 and "import fastbp" in lines


@pytest.mark.parametrize("path", [path for path in PAGES if path.parent in (ROOT, ROOT / "bench")],
                         ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_between_files_lead_somewhere(path):
    """Outside of the site, whose links the build looks at."""
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)#:]+)[)#]", text):
        assert (path.parent / target).exists(), target


@of_pages
def test_lines_keep_within_their_length(path):
    """But for rows of tables, which cannot be broken, and code, which is as long as it is."""
    if path.name == "CHANGELOG.md" or path.parent.name == "measured":
        pytest.skip("an item a line, or written by a script")
    text = re.sub(r"^(```|\$\$).*?^\1", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    long = [line for line in text.splitlines() if len(line) > LONGEST and not line.startswith(("|", "    "))
            and " " in re.sub("`[^`]*`", "", line.strip())]
    assert not long, "docs/wrap.py breaks them:\n" + "\n".join(long)


@of_pages
def test_what_pages_name_is_where_they_say(path):
    """Modules and what is in them, by their full names below fastbp; files by their paths."""
    if path.name == "CHANGELOG.md":
        pytest.skip("tells also of what is no more")
    text = path.read_text(encoding="utf-8")
    packages = "|".join(found.name for found in PACKAGE.iterdir() if (found / "__init__.py").exists())
    for name in re.findall(rf"`(?:fastbp\.)?((?:{packages})\.[a-zA-Z_.]+)`", text):
        if not (path.parent / name).exists():  # tables.py of bench is a file of its own
            pkgutil.resolve_name(f"fastbp.{name}")
    for name in re.findall(rf"`((?:src|tests|bench|docs|examples|{packages})/[a-z_/-]+(?:\.[a-z]+)?)`", text):
        assert (ROOT / name).exists() or (PACKAGE / name).exists(), name
