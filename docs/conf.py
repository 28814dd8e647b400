"""How Sphinx makes the site: ``make docs``. Nothing is fetched, neither by the build nor by who reads the pages."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from fontTools.ttLib import TTFont
from sphinx.application import Sphinx
from sphinx.config import Config

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "extensions"), str(HERE)]

import catalogues  # noqa: E402
import drawings  # noqa: E402
import matplotlib  # noqa: E402

import fastbp  # noqa: E402

project = "fastbp"
author = "the fastbp developers"
version = release = fastbp.__version__

extensions = [
    "mathml",
    "names",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "extensions", "checks", "measured", "reference/tables", "gallery/*.ipynb", "gallery/*.py",
                    "gallery/*.codeobj.json", "gallery/*.zip", "**/GALLERY_HEADER.rst"]
templates_path = ["_templates"]
nitpicky = True
default_role = "name"
language = "en"

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
myst_links_external_new_tab = False

autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "groupwise"
add_module_names = False
numpydoc_show_class_members = False
numpydoc_attributes_as_param_list = True

WITH_MEMBERS = ["CFunction", "Checkpoint", "DaskMLPClassifier", "DaskMLPRegressor", "EarlyStopping", "Ensemble",
                "EnsembleModel", "History", "MLPClassifier", "MLPRegressor", "Network", "Posterior", "Standardizer",
                "TabularClassifier", "TabularRegressor"]
"""Classes whose methods a user calls. Of the others the constructor is all; what else they have is the package's."""
autosummary_context = {"with_members": WITH_MEMBERS}

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/(?!cluster|mpi)\w+\.py$",  # these start other processes: tests/test_cluster.py, test_mpi.py
    "within_subsection_order": "ExampleTitleSortKey",
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "write_computation_times": False,
    "min_reported_time": 1e9,
    "image_srcset": ["2x"],
    "nested_sections": False,
    "show_signature": False,
    "abort_on_example_error": True,
    "plot_gallery": "True",
}
suppress_warnings = ["config.cache"]  # the settings of the gallery hold functions

html_theme = "pydata_sphinx_theme"
html_title = "fastbp"
html_static_path = ["_static", "_build/font"]
html_css_files = ["fastbp.css"]
html_math_renderer = "mathml"
html_show_sourcelink = False
html_context = {"default_mode": "auto"}
html_copy_source = False
html_theme_options = {
    "logo": {"text": "fastbp"},
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
copyright = "the fastbp developers, BSD 3-Clause licence"


def write_included(app: Sphinx) -> None:
    """Write what pages include: tables of the catalogues, drawings of the design."""
    catalogues.write(HERE / "reference" / "tables")
    drawings.write(HERE / "_static" / "drawings")


SCRIPTS = {"SubscriptShiftDown": 300, "SuperscriptShiftUp": 740, "SuperscriptBottomMin": 450,
           "SuperscriptBaselineDropMax": 700}
"""Constants of a font's table MATH, where 2048 are its size."""


def write_font(app: Sphinx, config: Config) -> None:
    """Write matplotlib's DejaVu Serif with indices where other fonts for mathematics have them: its own are high."""
    path = HERE / "_build" / "font" / "mathematics.ttf"
    path.parent.mkdir(parents=True, exist_ok=True)
    font = TTFont(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSerif.ttf", recalcTimestamp=False)
    constants = font["MATH"].table.MathConstants
    for name, value in SCRIPTS.items():
        getattr(constants, name).Value = value
    font.save(path)


FOR_THE_LOOP = {"Checkpoint.check", "EarlyStopping.resume", "EarlyStopping.watch", "History.append", "History.extend"}
"""Methods that the loop of a fit calls, and no user."""


def leave_out(app: Sphinx, what: str, name: str, thing: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what estimators have from scikit-learn, and what is for the package alone."""
    module = getattr(thing, "__module__", None) or getattr(getattr(thing, "fget", None), "__module__", "fastbp")
    return None if module.startswith("fastbp") and getattr(thing, "__qualname__", "") not in FOR_THE_LOOP else True


def setup(app: Sphinx) -> None:
    """Have what is included written before the pages are read, and the font before it is looked for."""
    app.connect("config-inited", write_font, priority=1)
    app.connect("builder-inited", write_included, priority=1)
    app.connect("autodoc-skip-member", leave_out)
