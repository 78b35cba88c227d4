"""What a browser has to complain about a page."""


def complaints(page):
    """A list that grows with every error and warning (a file that is missing gives one) and request to the network."""
    found = []
    page.on("console", lambda message: message.type in ("error", "warning") and found.append(message.text))
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("request", lambda request: request.url.startswith(("file:", "data:", "blob:", "about:"))
            or found.append(f"asks the network: {request.url}"))
    return found
