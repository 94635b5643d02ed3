"""The site: MyST pages and the reference of the public names. `make docs` builds it."""

from importlib.metadata import version as version_of

project = "foldformer"
author = "the foldformer authors"
release = version = version_of("foldformer")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["README.md"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "separated"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "alabaster"
html_theme_options = {
    "description": "Speech Transformers that fit always-on devices",
    "page_width": "64em",
    "show_powered_by": False,
}
html_copy_source = False
html_show_copyright = False
