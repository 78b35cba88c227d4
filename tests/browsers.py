"""What a browser has to complain about a page."""


def complaints(page):
    """A list that grows with every error, warning, failed request and request to the network of this page."""
    found = []
    page.on("console", lambda message: message.type in ("error", "warning") and found.append(message.text))
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("requestfailed", lambda request: found.append(f"not loaded: {request.url}"))
    page.on("request", lambda request: request.url.startswith(("file:", "data:", "blob:", "about:"))
            or found.append(f"asks the network: {request.url}"))
    return found
