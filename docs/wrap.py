"""Break the lines of Markdown files after 120 characters: ``python docs/wrap.py [FILE ...]``, without files all pages.

Paragraphs and items of lists are filled; tables, code, headings and comments stay as they are.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

WIDTH = 120
AS_IT_IS = re.compile(r"^(\||#|<!--|\s*```|\$\$|\(\S+\)=|:\S+:|\s*$|!\[|    |---|\+\+\+|:::)")
ITEM = re.compile(r"^(\s*(?:[-*]|\d+\.) )(.*)$")
WORD = re.compile(r"(?:\[[^\]]*\]\([^)]*\)|\{[a-z:]+\}`[^`]*`|`[^`]*`|\$[^$\s][^$]*\$|[^\s`$\[{]|[`$\[{])+")
STARTS = re.compile(r"^([-+*]|#+|>|\d+[.)]|=+)$")
"""A word that would mean something at the beginning of a line."""


def filled(text: str, first: str, rest: str) -> list[str]:
    """Return a paragraph as lines; code, links and formulas are not torn apart."""
    lines, line = [], first
    for word in WORD.findall(text):
        if line in (first, rest):
            line += word
        elif len(line) + 1 + len(word) <= WIDTH:
            line += " " + word
        elif STARTS.match(word):  # takes the word before it along
            before, _, last = line.rpartition(" ")
            lines.append(before)
            line = f"{rest}{last} {word}"
        else:
            lines.append(line)
            line = rest + word
    return [*lines, line]


def wrapped(page: str) -> str:
    """Return a page with its paragraphs filled."""
    done: list[str] = []
    text, first, rest, fence = "", "", "", ""

    def end() -> None:
        nonlocal text
        if text:
            done.extend(filled(text, first, rest))
        text = ""

    for line in page.split("\n"):
        mark = line.strip()[:3]
        if fence or mark in ("```", "$$", "$$ ", ":::"):
            end()
            done.append(line)
            if not fence:
                fence = mark if mark not in ("$$ ",) else "$$"
            elif line.strip().startswith(fence):
                fence = ""
        elif item := ITEM.match(line):
            end()
            first, text = item[1], item[2]
            rest = " " * len(first)
        elif AS_IT_IS.match(line) and not (line.startswith("    ") and text and rest and line.startswith(rest)):
            end()
            done.append(line)
            first = rest = ""
        else:
            if not text:
                indent = line[: len(line) - len(line.lstrip())]
                first = rest = indent
            text += " " * bool(text) + line.strip()
    end()
    return "\n".join(done)


def pages() -> list[Path]:
    """Return all that are written by hand, but the changelog, which has an item a line."""
    root = Path(__file__).resolve().parents[1]
    written = {"_build", "gallery", "generated", "tables", "measured"}
    return [path for path in (*root.glob("*.md"), *root.glob("bench/*.md"), *root.glob("docs/**/*.md"))
            if path.name != "CHANGELOG.md" and not set(path.relative_to(root).parts) & written]


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:] or pages()):
        path.write_text(wrapped(path.read_text(encoding="utf-8")), encoding="utf-8")
