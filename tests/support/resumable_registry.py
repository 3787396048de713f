#!/usr/bin/env python3
"""A gateway in front of a registry whose uploads survive a broken connection.

Implements the distribution specification's chunked uploads by itself: what arrived of a PATCH that was
cut off is kept, and GET of the upload says how much that is. A finished upload is handed to the registry
behind. Everything else is passed through. Counts the bytes of blobs in both directions.

  resumable_registry.py BACKEND_HOST:PORT DIRECTORY PORT_FILE

Its own port, on 127.0.0.1, is written to PORT_FILE once it listens. For tests it also answers

  GET  /gateway/counts                 {"received": bytes of blobs, "sent": bytes of blobs}
  GET  /gateway/wait?received=N&sent=N answers when so many bytes have passed
  POST /gateway/reset?received=N&sent=N the connection that passes byte N is reset, once
"""

import hashlib
import http.client
import http.server
import json
import os
import socket
import struct
import sys
import threading
import urllib.parse
import uuid

BLOCK = 1 << 16


class Counts:
    def __init__(self):
        self.changed = threading.Condition()
        self.passed = {"received": 0, "sent": 0}
        self.resets = {}

    def add(self, direction, count):
        """Whether the connection is to be reset now."""
        with self.changed:
            self.passed[direction] += count
            self.changed.notify_all()
            limit = self.resets.get(direction)
            if limit is None or self.passed[direction] < limit:
                return False
            del self.resets[direction]
            return True

    def wait(self, limits):
        with self.changed:
            return self.changed.wait_for(
                lambda: all(self.passed[d] >= n for d, n in limits.items()), timeout=300)


class Reset(Exception):
    pass


class Gateway(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    backend = None
    directory = None
    counts = Counts()

    def log_message(self, *_):
        pass

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (Reset, ConnectionError, BrokenPipeError):
            self.close_connection = True

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RD)
        self.rfile.close()
        self.connection.close()
        raise Reset

    def blocks_of_body(self):
        left = int(self.headers.get("Content-Length", 0))
        while left > 0:
            block = self.rfile.read1(min(left, BLOCK))
            if not block:
                raise Reset
            left -= len(block)
            yield block

    def answer(self, status, headers=(), body=b""):
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    # ---- Uploads ----------------------------------------------------------------------------------

    def upload_file(self, url):
        name = os.path.basename(url.path)
        return os.path.join(self.directory, name) if name.startswith("upload-") else None

    def answer_upload(self, status, url):
        size = os.path.getsize(self.upload_file(url))
        headers = [("Location", url.path), ("Range", f"0-{max(size - 1, 0)}")]
        self.answer(status, headers)

    def append_body(self, file):
        with open(file, "ab", buffering=0) as out:
            for block in self.blocks_of_body():
                out.write(block)
                if self.counts.add("received", len(block)):
                    self.reset()

    def upload(self, url):
        file = self.upload_file(url)
        if self.command == "POST":
            url = url._replace(path=url.path.rstrip("/") + "/upload-" + uuid.uuid4().hex)
            open(self.upload_file(url), "xb").close()
            return self.answer_upload(202, url)
        if not os.path.exists(file):
            for _ in self.blocks_of_body():
                pass
            return self.answer(404, body=b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}')
        if self.command == "GET":
            return self.answer_upload(204, url)
        if self.command == "DELETE":
            os.unlink(file)
            return self.answer(204)
        begin = self.headers.get("Content-Range", "").split("-")[0]
        if self.command == "PATCH" and begin and int(begin) != os.path.getsize(file):
            for _ in self.blocks_of_body():
                pass
            return self.answer_upload(416, url)
        self.append_body(file)
        if self.command == "PATCH":
            return self.answer_upload(202, url)
        return self.hand_over(url, file)

    def hand_over(self, url, file):
        """Hands a whole upload to the registry behind."""
        digest = urllib.parse.parse_qs(url.query)["digest"][0]
        seen = hashlib.sha256()
        with open(file, "rb") as content:
            while block := content.read(1 << 20):
                seen.update(block)
        if digest != "sha256:" + seen.hexdigest():
            os.unlink(file)
            return self.answer(400, body=b'{"errors":[{"code":"DIGEST_INVALID"}]}')
        connection = http.client.HTTPConnection(self.backend)
        connection.request("POST", url.path.rsplit("/", 1)[0] + "/")
        opened = connection.getresponse()
        opened.read()
        location = urllib.parse.urlsplit(opened.headers["Location"])
        with open(file, "rb") as content:
            size = str(os.path.getsize(file))
            connection.request("PUT", f"{location.path}?{location.query}&{url.query}", content,
                               {"Content-Length": size, "Content-Type": "application/octet-stream"})
            stored = connection.getresponse()
            body = stored.read()
        os.unlink(file)
        self.answer(stored.status, body=body)

    # ---- Everything else --------------------------------------------------------------------------

    def pass_through(self, url):
        blob = "/blobs/" in url.path
        connection = http.client.HTTPConnection(self.backend)
        connection.request(self.command, self.path, b"".join(self.blocks_of_body()), self.headers)
        response = connection.getresponse()
        self.send_response_only(response.status)
        for name, value in response.headers.items():
            if name.lower() not in ("connection", "transfer-encoding"):
                self.send_header(name, value)
        if response.headers.get("Content-Length") is None:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        while block := response.read(BLOCK):
            self.wfile.write(block)
            if blob and self.counts.add("sent", len(block)):
                self.reset()

    def control(self, url):
        numbers = {k: int(v[0]) for k, v in urllib.parse.parse_qs(url.query).items()}
        if url.path == "/gateway/wait":
            self.counts.wait(numbers)
        if url.path == "/gateway/reset":
            with self.counts.changed:
                self.counts.resets.update(
                    {d: self.counts.passed[d] + n for d, n in numbers.items()})
        self.answer(200, body=json.dumps(self.counts.passed).encode() + b"\n")

    def serve(self):
        url = urllib.parse.urlsplit(self.path)
        if url.path.startswith("/gateway/"):
            self.control(url)
        elif "/blobs/uploads/" in url.path:
            self.upload(url)
        else:
            self.pass_through(url)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = serve


def main():
    Gateway.backend, Gateway.directory, port_file = sys.argv[1:4]
    os.makedirs(Gateway.directory, exist_ok=True)
    http.server.ThreadingHTTPServer.daemon_threads = True
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    with open(port_file + ".new", "w") as out:
        out.write(str(server.server_address[1]))
    os.rename(port_file + ".new", port_file)
    server.serve_forever()


main()
