"""Is there a network at all? `make links` asks before it takes every silent address for a broken one.

    python tools/links.py        one answer from any of the hosts that the book links to will do
"""

import re
import sys
import urllib.error
import urllib.request

import execution

ADDRESS = re.compile(r"https://[\w.-]+")
SECONDS = 10


def hosts(root=execution.ROOT):
    """The hosts to which the book's sources link, DOIs' left out: they turn programs away."""
    sources = [*root.glob("nbs/*.md"), *root.glob("book/*.md"), *root.glob("book/*.bib")]
    found = {address for source in sources for address in ADDRESS.findall(source.read_text("utf-8"))}
    return sorted(found - {"https://doi.org"})


def answers(address):
    """Whether a host answers, be it with a refusal."""
    try:
        urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=SECONDS).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def main():
    asked = hosts()
    if asked and not any(map(answers, asked)):
        names = ", ".join(address.removeprefix("https://") for address in asked)
        return (f"error: no network: none of {names} answers, so no address was checked. "
                "Links inside the book need no network: make book checks them.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
