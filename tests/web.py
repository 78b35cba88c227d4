"""A web server on this machine, for tests of downloads."""

import contextlib
import http.server
import socket


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; a file whose name begins with "cut" ends before its announced length."""

    def log_message(self, *args):
        pass

    def copyfile(self, source, outputfile):
        content = source.read()
        outputfile.write(content[: len(content) // 2] if "/cut" in self.path else content)


def closed_port():
    """An address on this machine where nobody listens."""
    with contextlib.closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{one.getsockname()[1]}"
