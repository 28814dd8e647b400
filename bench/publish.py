"""Write the pages of asv's results so that they show without a network: ``python -m bench.publish``.

asv's pages load jQuery, flot and others from elsewhere and stay blank where they cannot. After ``asv publish`` this
gets them from npm, in the versions and with the checksums of bench/pages/package-lock.json, puts them beside the pages
and lets these point to them. It adds a page of the commits that were measured, to which asv's pages link, and takes
away what nothing was measured of.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ROOT / "bench" / "pages"
KEPT = ROOT / ".asv" / "pages"
"""Where npm puts the packages, from one time to the next."""

FILES = {
    r"jquery-[\d.]+\.min\.js": "jquery/dist/jquery.min.js",
    r"jquery\.flot(\.time|\.selection|\.categories)?\.min\.js": r"flot/jquery.flot\1.js",
    r"jquery\.flot\.orderBars\.js": "flot-orderbars/js/jquery.flot.orderBars.js",
    r"stupidtable\.min\.js": "stupid-table-plugin/stupidtable.min.js",
    r"md5\.min\.js": "blueimp-md5/js/md5.min.js",
    r"bootstrap\.min\.js": "bootstrap/dist/js/bootstrap.min.js",
    r"bootstrap\.min\.css": "bootstrap/dist/css/bootstrap.min.css",
}
"""Name of a file that asv's pages load -> its place among the packages. npm has flot as its authors wrote it."""

FONTS = "bootstrap/dist/fonts"
"""What the style sheet loads."""

SHORT = 8
"""Digits of a hash in asv's links, of which the page of commits has one section each."""

COMMITS = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>fastbp: measured commits</title>
<link rel="shortcut icon" href="swallow.ico">
<style>
body {{ max-width: 60em; margin: 1em auto; padding: 0 1em; font-family: sans-serif; line-height: 1.4 }}
pre {{ white-space: pre-wrap; padding: 1em; background: #f4f4f4 }}
:target h2 {{ background: #fe9 }}
</style>
<h1>Measured commits</h1>
<p><a href="index.html">Benchmarks</a></p>
{sections}
</html>
"""

SECTION = """<section id="{short}">
<h2>{short}</h2>
<pre>{shown}</pre>
{since}
</section>
"""

LOADED = re.compile(r'<(?:script|link)\b[^>]*?\b(?:src|href)="(https?://[^"]*)"[^>]*>')
CHECKED = re.compile(r'\s(?:integrity|crossorigin|referrerpolicy)="[^"]*"')


def place(address: str) -> str:
    """Return the place among the packages of a file with this address.

    Raises
    ------
    LookupError
        If it is none of `FILES`.
    """
    name = address.rsplit("/", 1)[-1]
    for pattern, path in FILES.items():
        if found := re.fullmatch(pattern, name):
            return found.expand(path)
    raise LookupError(f"asv's pages load {address}: name its package in bench/pages/package.json and bench/publish.py")


def at_home(page: str) -> tuple[str, list[str]]:
    """Return a page that loads from ``packages/`` beside it what it loaded from elsewhere, and what that is."""
    places: list[str] = []

    def local(tag: re.Match[str]) -> str:
        places.append(place(tag[1]))
        return CHECKED.sub("", tag[0].replace(tag[1], f"packages/{places[-1]}"))

    return LOADED.sub(local, page), places


def copy(places: Iterable[str], pages: Path) -> None:
    """Put files of the packages beside the pages."""
    for path in places:
        target = pages / "packages" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(KEPT / "node_modules" / path, target)
    shutil.copytree(KEPT / "node_modules" / FONTS, pages / "packages" / FONTS, dirs_exist_ok=True)


def git(repository: Path, *arguments: str) -> str:
    """Return what git prints."""
    return subprocess.run(["git", *arguments], check=True, cwd=repository, capture_output=True, text=True).stdout


def write_commits(pages: Path, repository: Path) -> None:
    """Write ``commits.html``: each measured commit, newest first, and what came since the one measured before it."""
    revisions = json.loads((pages / "index.json").read_text(encoding="utf-8"))["revision_to_hash"]
    sections: list[str] = []
    before = None
    for revision in sorted(revisions, key=int):
        commit = revisions[revision]
        shown = git(repository, "show", "--stat", "--format=%H%n%an, %ad%n%n%B", "--date=iso", commit, "--")
        between = git(repository, "log", "--oneline", "--skip=1", f"{before}..{commit}", "--") if before else ""
        since = f"<p>After {before[:SHORT]}, not measured:</p>\n<pre>{html.escape(between)}</pre>" if between else ""
        sections.insert(0, SECTION.format(short=commit[:SHORT], shown=html.escape(shown), since=since))
        before = commit
    (pages / "commits.html").write_text(COMMITS.format(sections="\n".join(sections)), encoding="utf-8")


def keep_measured(pages: Path) -> None:
    """Take benchmarks without any result out of the index: asv's grid has an empty field for each."""
    path = pages / "index.json"
    index = json.loads(path.read_text(encoding="utf-8"))
    index["benchmarks"] = {name: benchmark for name, benchmark in index["benchmarks"].items()
                           if (pages / "graphs" / "summary" / f"{name}.json").exists()}
    path.write_text(json.dumps(index), encoding="utf-8")


def main() -> None:
    """Publish."""
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("bench.publish needs npm, which comes with Node.js (Debian: apt install npm)")
    subprocess.run([sys.executable, "-m", "asv", "publish", *sys.argv[1:]], check=True, cwd=ROOT)
    KEPT.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(PACKAGES / name, KEPT)
    subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], check=True, cwd=KEPT)
    pages = ROOT / json.loads((ROOT / "asv.conf.json").read_text(encoding="utf-8"))["html_dir"]
    for path in pages.glob("*.html"):
        page, places = at_home(path.read_text(encoding="utf-8"))
        path.write_text(page, encoding="utf-8")
        copy(places, pages)
    keep_measured(pages)
    write_commits(pages, ROOT)
    print(f"{pages}: look at them by `asv preview`, or serve the folder from anywhere")


if __name__ == "__main__":
    main()
