#!/usr/bin/env python3
"""Serves files on a free loopback port to those who know the token: DIRECTORY TOKEN-FILE."""

import functools
import hmac
import pathlib
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer


class Handler(SimpleHTTPRequestHandler):
    token = None

    def do_GET(self):
        want = f"Bearer {self.token}"
        if hmac.compare_digest(self.headers.get("Authorization", ""), want):
            super().do_GET()
        else:
            self.send_error(401)


Handler.token = pathlib.Path(sys.argv[2]).read_text(encoding="ascii").strip()
server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=sys.argv[1]))
print(f"listening on port {server.server_port}", flush=True)
server.serve_forever()
