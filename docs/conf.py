"""The documentation site: ``python -m sphinx -b html -W --keep-going -n docs docs/_build``. Nothing is fetched."""

import logging
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

import qad  # noqa: E402

for chatty in ("qiskit", "numexpr"):
    logging.getLogger(chatty).setLevel("WARNING")

project = "qad"
author = copyright = "the qad developers"
version = release = qad.__version__

extensions = ["sphinx.ext.autodoc", "myst_nb", "sphinx_design", "sphinx_copybutton",
              "generated", "docstrings", "records", "mathml"]  # the last four lie in _ext
root_doc = "index"
exclude_patterns = ["_build", "jupyter_execute", "scripts", "**/.ipynb_checkpoints"]
nitpicky = True
suppress_warnings = ["ref.python"]  # a short name in an annotation that two modules have
# what other packages document is not looked up: the site is built without a network
nitpick_ignore_regex = [("py:.*", r"(?!qad\b|classical\b).*|.*\.T")]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "amsmath", "attrs_inline", "fieldlist"]
myst_heading_anchors = 4
nb_execution_mode = "off"  # the notebooks keep what they showed; the tests run them
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_default_options = {"exclude-members": "set_fit_request, set_score_request, set_transform_request, set_predict_request, "
                                              "model_config, model_post_init, training"}
autodoc_typehints_format = "short"
autodoc_type_aliases = {"ArrayLike": "ArrayLike"}
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "qad"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_show_sourcelink = html_copy_source = False
html_theme_options = {"navigation_with_keys": True, "top_of_page_buttons": []}
copybutton_exclude = ".linenos, .gp, .go"
