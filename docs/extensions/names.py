"""What stands in single backticks in a docstring: a link where the reference has the name, else code.

Other references stay strict: with `nitpicky` one that leads nowhere is an error.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.roles import XRefRole


class Name(XRefRole):
    """A name that may be in the reference."""

    def process_link(self, env: BuildEnvironment, refnode: nodes.Element, has_explicit_title: bool, title: str,
                     target: str) -> tuple[str, str]:
        """Take the module and class in which the docstring stands."""
        refnode["py:module"] = env.ref_context.get("py:module")
        refnode["py:class"] = env.ref_context.get("py:class")
        refnode["may_be_missing"] = True
        return title, target


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: nodes.Element) -> nodes.Node | None:
    """Try a name below ``fastbp``; of one in backticks that is not there either, return its code."""
    if not node.get("may_be_missing"):
        return None
    domain = env.domains.python_domain
    for prefix in ("fastbp.", "fastbp.Network.", "fastbp.jit."):
        name = prefix + node["reftarget"].removeprefix("~").removeprefix("fastbp.")
        if name in domain.objects:
            entry = domain.objects[name]
            found = nodes.reference("", "", contnode, internal=True, reftitle=name)
            found["refuri"] = f"{app.builder.get_relative_uri(node['refdoc'], entry.docname)}#{entry.node_id}"
            return found
    return contnode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the role `name`, which the configuration makes the default one."""
    app.add_role("name", Name(innernodeclass=nodes.literal))
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
