"""The asv suite imports with what asv installs, old commits included; its pages need no network."""

import ast
import importlib
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = {"scikit-learn": "sklearn"}

if not (ROOT / "bench").exists():
    pytest.skip("a source distribution has no benchmarks", allow_module_level=True)

CONFIGURATION = json.loads((ROOT / "asv.conf.json").read_text(encoding="utf-8"))
SUITE = sorted((ROOT / CONFIGURATION["benchmark_dir"]).rglob("*.py"))


@pytest.fixture
def bench(monkeypatch):
    """Return a function that imports a module of bench/, which is not installed."""
    monkeypatch.syspath_prepend(str(ROOT))
    return lambda name: importlib.import_module(f"bench.{name}")


def imported(tree):
    """Yield the name of each module that is imported by its full name, and the names that are taken from it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module, [alias.name for alias in node.names]


@pytest.mark.parametrize("path", SUITE, ids=lambda path: path.name)
def test_the_suite_imports_what_asv_installs(path):
    """For asv imports every module of the folder in an environment that has the matrix alone."""
    matrix = {MODULES.get(name, name) for name in CONFIGURATION["matrix"]["req"]}
    for module, _ in imported(ast.parse(path.read_text(encoding="utf-8"))):
        assert module.split(".")[0] in {"fastbp", *matrix} | sys.stdlib_module_names


@pytest.mark.parametrize("path", SUITE, ids=lambda path: path.name)
def test_the_suite_asks_old_commits_for_nothing_while_it_is_imported(path):
    """What a commit may lack is imported in a function, or in a try."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    for module, names in imported(tree):
        assert module.split(".")[0] != "fastbp" or (module, names) == ("fastbp", [])


def test_a_commit_without_a_feature_is_no_failure(bench, monkeypatch):
    common = bench("suite.common")
    common.needs("Network.fit(sample_weight)", "Adam", "jit.train_one")
    for missing in ("Nothing", "Network.nothing", "Network.fit(nothing)", "jit.nothing"):
        monkeypatch.delenv("ASV_COMMIT", raising=False)
        with pytest.raises(LookupError, match="fastbp has no "):
            common.needs("Adam", missing)
        monkeypatch.setenv("ASV_COMMIT", "0" * 40)
        with pytest.raises(NotImplementedError):
            common.needs("Adam", missing)


def test_the_features_that_the_suite_asks_for_are_there(bench):
    """A name that has changed would make a benchmark n/a for ever."""
    common, asked = bench("suite.common"), set()
    for path in SUITE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("needs", "has"):
                asked |= {one.value for one in node.args if isinstance(one, ast.Constant)}
    asked |= {feature for features in bench("suite.bench_given").KINDS.values() for feature in features}
    asked |= {feature for _, features in bench("suite.bench_embedded").RATIOS.values() for feature in features}
    asked.add(bench("suite.bench_training").PEAK)
    assert len(asked) > 15
    assert {feature for feature in asked if not common.has(feature)} == set()


def test_pages_load_nothing_from_elsewhere(bench):
    asv = pytest.importorskip("asv", reason="asv is not installed")
    publish = bench("publish")
    lock = json.loads((ROOT / "bench" / "pages" / "package-lock.json").read_text(encoding="utf-8"))
    found = set()
    for path in Path(asv.__file__).with_name("www").glob("*.html"):
        page, places = publish.at_home(path.read_text(encoding="utf-8"))
        assert not publish.LOADED.search(page) and "integrity" not in page
        assert page.count('"packages/') == len(places)
        found.update(places)
    assert len(found) >= 9
    for place in found:
        assert lock["packages"][f"node_modules/{place.split('/')[0]}"]["integrity"]


def test_a_page_that_loads_something_new_is_an_error(bench):
    with pytest.raises(LookupError, match="https://cdn.example/d3.js: name its package"):
        bench("publish").at_home('<script src="https://cdn.example/d3.js"></script>')


def test_pages_lead_to_the_commits_that_were_measured(bench, tmp_path):
    publish, pages = bench("publish"), tmp_path / "pages"
    pages.mkdir()
    for arguments in (["init", "--quiet"], *(["commit", "--quiet", "--allow-empty", "--message", subject]
                                             for subject in ("first", "not <measured>", "last"))):
        publish.git(tmp_path, "-c", "user.name=who", "-c", "user.email=where", *arguments)
    last, _, first = publish.git(tmp_path, "log", "--format=%H").split()
    (pages / "index.json").write_text(json.dumps({"revision_to_hash": {"10": last, "9": first}}), encoding="utf-8")
    publish.write_commits(pages, tmp_path)
    page = (pages / "commits.html").read_text(encoding="utf-8")
    assert CONFIGURATION["show_commit_url"] == "commits.html#"
    sections = [f'<section id="{commit[:8]}">' for commit in (last, first)]
    assert page.index(sections[0]) < page.index("not &lt;measured&gt;") < page.index(sections[1])
    assert "first" in page[page.index(sections[1]) :] and "<measured>" not in page


def test_pages_show_what_was_measured(bench, tmp_path):
    index = {"project": "fastbp", "benchmarks": {"a.time_x": {"unit": "seconds"}, "a.time_y": {}}}
    (tmp_path / "index.json").write_text(json.dumps(index), encoding="utf-8")
    (tmp_path / "graphs" / "summary").mkdir(parents=True)
    (tmp_path / "graphs" / "summary" / "a.time_x.json").write_text("[]", encoding="utf-8")
    bench("publish").keep_measured(tmp_path)
    assert json.loads((tmp_path / "index.json").read_text(encoding="utf-8")) == index | {
        "benchmarks": {"a.time_x": {"unit": "seconds"}}}
