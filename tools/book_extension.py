"""Sphinx extension of the book: what Jupyter Book leaves undone.

The sources hold no repository address. GitHub's runners set GITHUB_SERVER_URL and GITHUB_REPOSITORY (anybody else
may, too); then the pages get a repository, an issue and a Colab button. Without them there is none of these buttons.
"""

import os
import re
import shutil
from pathlib import Path

FONT_PRELOAD = re.compile(r'<link rel="preload" as="font"[^>]*>\s*')


def repository_url(environment):
    """The address of the repository, or "" where the environment does not tell."""
    repository = environment.get("GITHUB_REPOSITORY", "")
    return f"{environment.get('GITHUB_SERVER_URL', 'https://github.com')}/{repository}" if repository else ""


def add_repository(app, config):
    """Fill in the theme's options before the theme reads them."""
    url = repository_url(os.environ)
    if not url:
        return
    config.html_theme_options.update(
        repository_url=url, repository_branch=os.environ.get("GITHUB_REF_NAME") or "main", path_to_docs="",
        use_repository_button=True, use_issues_button=True,
        launch_buttons={"colab_url": "https://colab.research.google.com"})


def offer_notebook(app, pagename, templatename, context, doctree):
    """Let a chapter's download menu offer its paired notebook beside the text source."""
    pair = Path(app.srcdir, pagename).with_suffix(".ipynb")
    if doctree is not None and pair.exists():
        copy = Path(app.outdir, "_sources", pagename).with_suffix(".ipynb")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(pair, copy)
        context["ipynb_source"] = f"{pagename}.ipynb"


def drop_font_preloads(app, error):
    """Take the theme's font preloads out: opened from disk, browsers refuse them with an error. CSS suffices."""
    for page in Path(app.outdir).glob("**/*.html"):
        text = page.read_text("utf-8")
        if FONT_PRELOAD.search(text):
            page.write_text(FONT_PRELOAD.sub("", text), "utf-8")


def setup(app):
    # Jupyter Book sets this for sphinx_comments, which is not loaded here.
    app.add_config_value("comments_config", {}, "html")
    app.connect("config-inited", add_repository, priority=100)
    app.connect("html-page-context", offer_notebook, priority=100)
    app.connect("build-finished", drop_font_preloads)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
