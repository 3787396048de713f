#!/usr/bin/env python3
"""Serves the files of a directory on a free port of 127.0.0.1, for tests.

    http_file_server.py DIRECTORY PORT_FILE [LOG_FILE]

Writes its port to PORT_FILE once it listens; runs until it is killed, or its parent is gone. Each
request is a line of LOG_FILE: method, target, status, and the Authorization that came ("-" for none).

    /path                       the file: ETag of its content, Last-Modified of 2017, If-None-Match, ranges
    /_nodate/path               without Last-Modified
    /_noetag/path               without ETag
    /_redirect/path             302 to /path
    /_redirect_to/URL           302 to URL (percent-encoded)
    /_status/N                  status N
    /_disposition/NAME/path     with Content-Disposition: attachment; filename="NAME"
    /_cut/N/path                closes the connection after N bytes, the first time
    /_flaky/N/path              answers 503 the first N times
    /_auth/VALUE/path           401 unless Authorization is VALUE (percent-encoded)
"""
import hashlib
import http.server
import os
import re
import sys
import threading
import urllib.parse

LAST_MODIFIED = "Thu, 26 Jan 2017 16:59:13 GMT"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    root = "."
    log = None
    seen = {}
    lock = threading.Lock()

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", headers=(), cut=None):
        if Handler.log:
            authorization = self.headers.get("Authorization", "-")
            with Handler.lock:
                print(self.command, self.path, status, authorization, file=Handler.log, flush=True)
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status != 304:
            self.wfile.write(body[:cut])
        if cut is not None:
            self.close_connection = True

    def first_times(self, count):
        """Whether this target was asked for at most `count` times, this one included."""
        with Handler.lock:
            Handler.seen[self.path] = Handler.seen.get(self.path, 0) + 1
            return Handler.seen[self.path] <= count

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.split("?")[0]
        headers, cut, dated, tagged = [], None, True, True
        while match := re.match(r"/_(\w+)(/.*)", path):
            verb, path = match.groups()
            if verb in ("nodate", "noetag"):
                dated, tagged = dated and verb != "nodate", tagged and verb != "noetag"
                continue
            if verb == "redirect":
                return self.answer(302, headers=[("Location", path)])
            if verb == "redirect_to":
                return self.answer(302, headers=[("Location", urllib.parse.unquote(path[1:]))])
            word, _, rest = path[1:].partition("/")
            path = "/" + rest
            if verb == "status":
                return self.answer(int(word), b"status page\n")
            if verb == "disposition":
                name = urllib.parse.unquote(word)
                headers.append(("Content-Disposition", f'attachment; filename="{name}"'))
            elif verb == "cut":
                cut = int(word) if self.first_times(1) else None
            elif verb == "flaky":
                if self.first_times(int(word)):
                    return self.answer(503, headers=[("Retry-After", "0")])
            elif verb == "auth":
                if self.headers.get("Authorization") != urllib.parse.unquote(word):
                    return self.answer(401, headers=[("WWW-Authenticate", 'Bearer realm="test"')])
            else:
                return self.answer(404, b"no such verb\n")
        self.send_file(urllib.parse.unquote(path), headers, cut, dated, tagged)

    def send_file(self, path, headers, cut, dated, tagged):
        file = os.path.normpath(Handler.root + path)
        if not file.startswith(Handler.root + os.sep) or not os.path.isfile(file):
            return self.answer(404, b"not found\n")
        with open(file, "rb") as stream:
            body = stream.read()
        etag = '"' + hashlib.sha256(body).hexdigest()[:20] + '"'
        headers.append(("Content-Type", "application/octet-stream"))
        if dated:
            headers.append(("Last-Modified", LAST_MODIFIED))
        if tagged:
            headers.append(("ETag", etag))
        if tagged and self.headers.get("If-None-Match") == etag:
            return self.answer(304, headers=headers)
        if dated and not tagged and self.headers.get("If-Modified-Since") == LAST_MODIFIED:
            return self.answer(304, headers=headers)
        begin = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if begin and tagged and self.headers.get("If-Range") == etag:
            begin = int(begin.group(1))
            headers.append(("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}"))
            return self.answer(206, body[begin:], headers)
        self.answer(200, body, headers, cut)


def main():
    Handler.root = os.path.realpath(sys.argv[1])
    if len(sys.argv) > 3:
        Handler.log = open(sys.argv[3], "a", encoding="utf-8", errors="replace")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    with open(sys.argv[2] + ".new", "w", encoding="ascii") as file:
        file.write(f"{server.server_port}\n")
    os.rename(sys.argv[2] + ".new", sys.argv[2])
    parent = os.getppid()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while os.getppid() == parent:  # an abandoned test leaves no server behind
        threading.Event().wait(0.5)


if __name__ == "__main__":
    main()
