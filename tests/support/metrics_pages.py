"""Serves pages on loopback instead of a program's `/metrics`."""

from __future__ import annotations

from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer

from support.servers import in_a_thread

KINDS = {False: "text/plain; version=0.0.4; charset=utf-8", True: "application/openmetrics-text; version=1.0.0"}


class Server(ThreadingTCPServer):
    # not http.server's own, which makes a DNS lookup of the server's name
    daemon_threads = True


@contextmanager
def serving(answer):
    """Start a server on loopback; `answer` gets the request's headers and returns status, headers and body."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, headers, body = answer(self.headers)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = Server(("127.0.0.1", 0), Handler)
    with in_a_thread(server):
        yield f"http://127.0.0.1:{server.server_address[1]}/metrics"
