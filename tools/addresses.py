"""The one place where the repository's address comes from: the environment, as GitHub's runners set it.

GITHUB_SERVER_URL, GITHUB_REPOSITORY (owner/name) and GITHUB_SHA say where the sources are, SITE_URL where the book is
published (the publishing workflow asks GitHub Pages). A fork works without an edit; without them nothing is linked.
No library: these are three look-ups, and what reads addresses off git knows only where a clone came from.
"""


def repository_url(environment):
    """The address of the repository, or "" where the environment does not tell."""
    repository = environment.get("GITHUB_REPOSITORY", "")
    return f"{environment.get('GITHUB_SERVER_URL', 'https://github.com')}/{repository}" if repository else ""


def package_address(environment):
    """What Colab's first cell installs: the archive of the commit at hand. Where it is not known, the command ends."""
    url, commit = repository_url(environment), environment.get("GITHUB_SHA", "")
    if not (url and commit):
        raise SystemExit("error: set GITHUB_REPOSITORY=owner/name and GITHUB_SHA=commit")
    return f"signal-first-noise-later @ {url}/archive/{commit}.zip"


def site_url(environment):
    """Where the book is published, without a slash at the end, or ""."""
    return environment.get("SITE_URL", "").rstrip("/")
