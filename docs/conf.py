"""The documentation site: `make docs` builds it, with warnings as errors."""

project = "caesura"
author = "the founders of caesura"
copyright = "2026, " + author
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 900
nb_merge_streams = True
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "caesura"
html_extra_path = ["llms.txt"]
myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]
autodoc_typehints = "description"
autodoc_member_order = "bysource"
_ROUTED = ("fit", "predict", "predict_proba", "score", "transform")
autodoc_default_options = {  # scikit-learn adds these, and documents them itself
    "exclude-members": ", ".join(f"set_{name}_request" for name in _ROUTED) + ", set_output",
}
