"""Write the pages of asv's results so that they show without a network: ``python -m bench.publish``.

asv's pages load jQuery, flot and others from elsewhere and stay blank where they cannot. After ``asv publish`` this
gets them from npm, in the versions and with the checksums of bench/pages/package-lock.json, puts them beside the pages
and lets these point to them.
"""

from __future__ import annotations

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
    print(f"{pages}: look at them by `asv preview`, or serve the folder from anywhere")


if __name__ == "__main__":
    main()
