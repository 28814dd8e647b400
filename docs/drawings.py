"""Drawings of the design, as SVG: ``python docs/drawings.py FOLDER``; the build of the site writes them, too.

Each is a function that adds shapes to a `Drawing`. What they show is told in docs/explanation/design.md.
"""

from __future__ import annotations

import sys
import tomllib
from html import escape
from pathlib import Path

BLUE, RED, YELLOW, GREEN, GREY = "#cfe0ee", "#f3c9cf", "#f9e5b8", "#cfe5d8", "#e6e8ec"
INK = "#22303c"
LANES = 8


class Drawing:
    """Shapes and texts on a white page."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.size, self.title, self.parts = (width, height), title, []

    def box(self, x: float, y: float, width: float, height: float, fill: str, text: str = "", *, size: int = 14,
            dashed: bool = False, bold: bool = False) -> None:
        """Draw a rectangle with lines of text in its middle."""
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="3" fill="{fill}" '
                          f'stroke="{INK}" stroke-width="1"{dash}/>')
        lines = text.split("\n") if text else []
        for i, line in enumerate(lines):
            middle = y + height / 2 + (i - (len(lines) - 1) / 2) * 1.25 * size
            self.text(x + width / 2, middle + 0.35 * size, line, size=size, anchor="middle", bold=bold)

    def text(self, x: float, y: float, text: str, *, size: int = 14, anchor: str = "start", bold: bool = False) -> None:
        """Write a line."""
        weight = ' font-weight="bold"' if bold else ""
        self.parts.append(f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}"{weight}>{escape(text)}'
                          "</text>")

    def arrow(self, *points: tuple[float, float], both: bool = False, dashed: bool = False) -> None:
        """Draw a line through points, with a head at its end."""
        path = " ".join(f"{x},{y}" for x, y in points)
        start = ' marker-start="url(#head)"' if both else ""
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{INK}" stroke-width="1.6" '
                          f'marker-end="url(#head)"{start}{dash}/>')

    def svg(self) -> str:
        """Return the file."""
        width, height = self.size
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
                f'font-family="system-ui, sans-serif" fill="{INK}">\n<title>{escape(self.title)}</title>\n'
                '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
                f'orient="auto-start-reverse"><path d="M0,0 L10,5 L0,10 z" fill="{INK}"/></marker></defs>\n'
                + "\n".join(self.parts) + "\n</svg>\n")


def strips() -> Drawing:
    """Draw how samples lie in the strips of a panel."""
    d = Drawing(900, 330, "A block of samples in a panel: strips of one vector of samples, a row for each neuron")
    side, left, top = 30, 150, 80
    d.text(20, 28, "The panel of a layer with 3 neurons, 8 lanes (AVX2, float32), 20 samples: three strips", size=16,
           bold=True)
    for strip in range(3):
        x0 = left + strip * (LANES * side + 8)
        d.text(x0 + LANES * side / 2, top - 12, f"strip {strip}", anchor="middle")
        for neuron in range(3):
            for lane in range(LANES):
                sample = strip * LANES + lane
                padded = sample >= 20
                d.box(x0 + lane * side, top + neuron * (side + 6), side, side, GREY if padded else BLUE,
                      "19" if padded else str(sample), size=11, dashed=padded)
    for neuron in range(3):
        d.text(left - 12, top + neuron * (side + 6) + 20, f"neuron {neuron}", anchor="end")
    d.arrow((left, 205), (left + 3 * (LANES * side + 8) - 10, 205))
    d.text(left, 228, "memory: strip 0 with its three rows, then strip 1, then strip 2")
    d.box(left, 250, 24, 22, BLUE)
    d.text(left + 34, 267, "a number, o or δ, of the sample whose index is shown")
    d.box(left, 284, 24, 22, GREY, dashed=True)
    d.text(left + 34, 301, "padding: the last sample once more, at weight 0")
    return d


def phases() -> Drawing:
    """Draw the two phases of a step of training."""
    d = Drawing(900, 470, "A step of training: each thread takes its samples through all layers, then its neurons")
    d.text(20, 28, "One step of training on three threads", size=16, bold=True)
    d.text(165, 62, "phase 1: my samples", bold=True)
    d.text(620, 62, "phase 2: my neurons", bold=True)
    for thread, (samples, neurons) in enumerate(((BLUE, RED), (YELLOW, GREEN), (GREY, BLUE))):
        y = 80 + thread * 100
        d.text(20, y + 44, f"thread {thread}", bold=True)
        d.box(130, y, 62, 74, samples, "gather")
        for i, text in enumerate(("forward\n(1) (2)", "cost\n(3) (4)", "backward\n(5)")):
            d.box(212 + i * 104, y, 88, 74, samples, text)
            d.arrow((193 + i * 104 + (0 if i == 0 else 2), y + 37), (211 + i * 104, y + 37))
        d.box(610, y, 108, 74, neurons, "gradient (6)\nall samples")
        d.box(740, y, 108, 74, neurons, "update (7)\nin cache")
        d.arrow((719, y + 37), (739, y + 37))
        d.arrow((509, y + 37), (548, y + 37))
        d.arrow((574, y + 37), (609, y + 37))
    for x, label in ((561, "barrier"), (870, "barrier")):
        d.box(x - 12, 72, 24, 290, "#fff", dashed=True)
        d.parts.append(f'<text x="{x + 5}" y="217" font-size="14" text-anchor="middle" '
                       f'transform="rotate(-90 {x + 5} 217)">{label}</text>')
    d.text(130, 396, "Strips of the panels: no thread needs another one's samples,")
    d.text(130, 416, "so nobody waits between layers.")
    d.text(610, 396, "Rows of the weights: each is")
    d.text(610, 416, "summed and updated by one thread,")
    d.text(610, 436, "in the same order for any number.")
    return d


def tables() -> Drawing:
    """Draw which table points to what."""
    d = Drawing(900, 440, "The linker writes tables of offsets and addresses; kernels read them and the flat buffers")
    d.text(20, 28, "What the linker writes, and what a kernel reads", size=16, bold=True)
    d.box(20, 60, 180, 80, YELLOW, "Request\nsamples, threads,\nwhat is computed")
    d.box(20, 190, 180, 80, YELLOW, "Model\narchitecture,\nparameters")
    d.box(270, 120, 110, 90, GREEN, "link", size=18, bold=True)
    d.arrow((201, 100), (269, 150))
    d.arrow((201, 230), (269, 180))
    d.box(450, 55, 190, 62, BLUE, "layers: sizes, offsets,\naddress of φ, a row each", size=13)
    d.box(450, 132, 190, 62, BLUE, "cells: addresses of\nkernels and of tables")
    d.box(450, 209, 190, 62, BLUE, "calls, hyper, record,\nsearch: one meaning a cell", size=13)
    for y in (86, 163, 240):
        d.arrow((381, 165), (449, y))
    d.box(720, 55, 160, 62, RED, "machine code\nof kernels")
    d.box(720, 132, 160, 62, RED, "workspace: panels\nof outputs and deltas", size=13)
    d.box(720, 209, 160, 62, RED, "the user's arrays,\nheld, not copied")
    d.arrow((641, 163), (719, 86), dashed=True)
    d.arrow((641, 86), (719, 163), dashed=True)
    d.arrow((641, 163), (719, 240), dashed=True)
    d.text(20, 318, "One flat buffer, laid out alike for parameters, gradient and each slot of the optimizer:")
    x = 20
    for name, width in (("W¹", 250), ("b¹", 60), ("α¹", 60), ("W²", 200), ("b²", 50), ("W³", 150), ("b³", 50)):
        d.box(x, 335, width, 44, GREY, name)
        x += width
    d.text(20, 408, "An update rule is a loop over this buffer, and knows nothing of layers. α only where activations "
                    "have parameters.", size=13)
    return d


def packages() -> Drawing:
    """Draw the layers of the package as the contract in pyproject.toml has them."""
    settings = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    upper, below = (contract["layers"] for contract in settings["tool"]["importlinter"]["contracts"]
                    if contract["type"] == "layers")
    rows = [[(name.strip().removeprefix("fastbp."), BLUE) for name in layer.split("|")] for layer in upper[:-1]]
    rows += [[(name.strip().removeprefix("fastbp."), RED) for name in layer.split("|")] for layer in below]
    d = Drawing(900, 60 + 38 * len(rows) + 36, "The packages of fastbp: each row imports from rows below it only")
    d.text(20, 28, "Imports point down: a row knows the rows below it, and never one above", size=16, bold=True)
    for i, row in enumerate(rows):
        y, width = 50 + 38 * i, (860 - 8 * (len(row) - 1)) / len(row)
        for k, (name, fill) in enumerate(row):
            d.box(20 + k * (width + 8), y, width, 30, fill, name, size=13)
    y = 50 + 38 * len(rows) + 10
    d.box(20, y, 20, 16, BLUE)
    d.text(48, y + 13, "ordinary Python", size=13)
    d.box(200, y, 20, 16, RED)
    d.text(228, y + 13, "compiled: arrays, integers and floats", size=13)
    return d


def shards() -> Drawing:
    """Draw how processes share a fit."""
    d = Drawing(900, 330, "Each process sums the rows of its shards; sums are added in pairs, in one order")
    d.text(20, 28, "One cost and gradient, shared by two processes", size=16, bold=True)
    for process, fill in enumerate((BLUE, YELLOW)):
        d.text(20, 92 + process * 130, f"process {process}", bold=True)
        for shard in range(2):
            y = 58 + process * 130 + shard * 56
            d.box(120, y, 190, 44, fill, f"rows of shard {2 * process + shard}")
            d.box(370, y, 120, 44, fill, "cost, gradient", size=13)
            d.arrow((311, y + 22), (369, y + 22))
            d.arrow((491, y + 22), (559, 108 + process * 130))
        d.box(560, 86 + process * 130, 60, 44, fill, "+", size=20)
        d.arrow((621, 108 + process * 130), (699, 173))
    d.box(700, 151, 60, 44, GREEN, "+", size=20)
    d.arrow((761, 173), (790, 173))
    d.box(791, 140, 95, 66, GREEN, "to all:\nthe same\nbits", size=13)
    return d


DRAWINGS = {"shards": shards, "strips": strips, "phases": phases, "tables": tables, "packages": packages}


def write(folder: Path) -> None:
    """Write all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in DRAWINGS.items():
        (folder / f"{name}.svg").write_text(draw().svg(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
