"""The site: MyST pages and the reference of the public names. `make docs` builds it.

It needs nothing from elsewhere when it is read: equations are MathML, which browsers draw
themselves, and docutils makes it of the TeX in the pages.
"""

from importlib.metadata import version as version_of

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

project = "foldformer"
author = "the foldformer authors"
release = version = version_of("foldformer")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

default_role = "literal"  # `names` of docstrings are code, as in Markdown
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_inherit_docstrings = False  # those of PyTorch
autoclass_content = "both"  # what __init__ takes, below what the class is
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"foldformer {release}"
html_static_path = ["style"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False


def _inline(translator: HTML5Translator, node: nodes.Element) -> None:
    translator.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def _displayed(translator: HTML5Translator, node: nodes.Element) -> None:
    mathml = tex2mathml(node.astext(), as_block=True)
    translator.body.append(f'<div class="equation">{mathml}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Make equations MathML, without a script."""
    app.add_html_math_renderer("mathml", (_inline, None), (_displayed, None))
