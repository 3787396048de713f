#!/usr/bin/env python3
"""A registry that fails: a reverse proxy in front of a real one, for tests.

    faulty_registry.py --backend HOST:PORT --log FILE [--seed N] [--rate 0.05] [--hostile 0.005]

The first line of its output says, as JSON, where it listens: "registry" is the proxy, "other" are
origins of their own (another port, another host) that blobs may be redirected to. It wants bearer
tokens from its own token server (user "soak", password "correct-horse"); the backend wants nothing.

What goes wrong is chosen by the first component of a repository's path, which the backend never sees:

    op-N/team/app          each request fails at --rate, in a way chosen by seed, path and occurrence
                           (and so do requests of /v2/ itself)
    once-KIND/team/app     each different request fails in that way the first time
    always-KIND/team/app   each request that can fail in that way does
    anything else          nothing

FAULTS lists the kinds. Those marked hostile are not accidents: a client may give up on them, but must
not be misled. --log gets a line of JSON for each request: n, op, method, path, fault, status, bytes
in ("up") and out ("down"). A line with "leak" says that an origin other than the registry saw
credentials.
"""

import argparse
import asyncio
import base64
import collections
import email.utils
import hashlib
import json
import random
import re
import signal
import socket
import struct
import sys
import time
import urllib.parse

USER, PASSWORD = "soak", "correct-horse"
COOKIE = "session=of-the-registry-alone"
REASONS = {200: "OK", 401: "Unauthorized", 429: "Too Many Requests", 307: "Temporary Redirect"}
HEAD_LIMIT = 64 * 1024
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "authorization", "cookie", "host"}


class Closed(Exception):
    """The connection is gone: there is nothing more to say on it."""


class Headers(list):
    """(name, value) pairs in their order; names are compared without case."""

    def get(self, name, default=""):
        return next((value for key, value in self if key.lower() == name), default)

    def without(self, *names):
        return Headers((key, value) for key, value in self if key.lower() not in names)

    def replaced(self, name, value):
        return Headers([*self.without(name.lower()), (name, value)])


class Message:
    """A request or a response. `start` are the three words of its first line."""

    def __init__(self, start, headers, body=b""):
        self.start, self.headers, self.body = start, headers, body

    @property
    def status(self):
        return int(self.start[1])


async def read_head(reader):
    try:
        text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        raise Closed from None
    lines = text[:-4].split("\r\n")
    headers = Headers()
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers.append((name, value.strip()))
    return Message(lines[0].split(" ", 2), headers)


async def read_body(reader, headers):
    if headers.get("transfer-encoding").lower() != "chunked":
        length = int(headers.get("content-length", "0"))
        return await reader.readexactly(length) if length else b""
    parts = []
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return b"".join(parts)


def head_bytes(start, headers):
    lines = [" ".join(str(word) for word in start), *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Backend:
    """The real registry, over connections that are kept."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.address, self.idle = (host, int(port)), []

    async def send(self, request):
        """The whole response. What a kept connection lost, a new one sends again."""
        while True:
            kept = bool(self.idle)
            pair = self.idle.pop() if kept else await self.connect()
            try:
                return await self.exchange(pair, request)
            except (Closed, ConnectionError, asyncio.IncompleteReadError):
                pair[1].close()
                if not kept:
                    raise Closed from None

    async def connect(self):
        return await asyncio.open_connection(*self.address, limit=1 << 20)

    async def exchange(self, pair, request):
        reader, writer = pair
        writer.write(head_bytes(request.start, request.headers))
        writer.write(request.body)
        response = await read_head(reader)
        status = response.status
        if request.start[0] != "HEAD" and status not in (204, 304) and status >= 200:
            response.body = await read_body(reader, response.headers)
        if response.headers.get("connection").lower() == "close":
            writer.close()
        else:
            self.idle.append(pair)
        return response

    async def send_part(self, request, count):
        """Only so many bytes of the body, and then the connection breaks."""
        _, writer = await self.connect()
        writer.write(head_bytes(request.start, request.headers) + request.body[:count])
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.close()


class Tokens:
    """What the token server gave out: a token lasts a while and a number of requests."""

    def __init__(self):
        self.known, self.count = {}, 0

    def issue(self, scopes, seconds=300.0, uses=1 << 30):
        self.count += 1
        token = hashlib.sha256(f"{self.count}/{time.monotonic_ns()}".encode()).hexdigest()
        self.known[token] = [scopes, time.monotonic() + seconds, uses]
        return token

    def allows(self, token, repository, push):
        entry = self.known.get(token)
        if not entry or entry[1] < time.monotonic() or entry[2] <= 0:
            return False
        entry[2] -= 1
        return not repository or ("push" if push else "pull") in entry[0].get(repository, ())


Kind = collections.namedtuple("Kind", "apply when hostile")
FAULTS = {}


def fault(when, hostile=False):
    def register(apply):
        FAULTS[apply.__name__] = Kind(apply, when, hostile)
        return apply

    return register


def always(_):
    return True


def api(x):
    return x.what != "token"


def is_get(*whats):
    return lambda x: x.method == "GET" and x.what in whats


def is_read(*whats):
    return lambda x: x.method in ("GET", "HEAD") and x.what in whats


def is_upload(x):
    """Requests that bring bytes of a blob."""
    return x.what == "upload" and x.method in ("PATCH", "PUT") and x.length > 0


def brings_bytes(x):
    return x.method in ("PATCH", "PUT") and x.length > 0


def changes(x):
    return x.method in ("POST", "PATCH", "PUT") and x.what in ("upload", "manifest")


# Faults of any server.


@fault(always)
async def server_error(x):
    await x.read_body()
    headers = [("Retry-After", x.retry_after())] if x.chance(0.3) else []
    await x.answer(x.one_of(500, 502, 503, 504, 522), headers, b"<html>Sorry!</html>")


@fault(always)
async def too_many(x):
    await x.read_body()
    await x.answer(429, [("Retry-After", x.retry_after())],
                   b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}')


@fault(always)
async def request_timeout(x):
    await x.read_body()
    await x.answer(408, [("Connection", "close")], b"")
    raise Closed


@fault(always)
async def reset_at_once(x):
    x.reset()


@fault(always)
async def closed_at_once(x):
    raise Closed


@fault(always)
async def reset_in_headers(x):
    response = await x.forward()
    text = head_bytes(response.start, response.headers)
    await x.write(text[: x.random.randrange(1, len(text) - 2)])
    x.reset()


@fault(always)
async def slow_headers(x):
    response = await x.forward()
    await x.dribble(head_bytes(response.start, response.headers), 12)
    await x.write(response.body)


# Faults in what is read.


def has_body(x):
    return x.method == "GET" and x.what in ("blob", "manifest", "token")


@fault(has_body)
async def reset_after_headers(x):
    response = await x.forward()
    await x.write(head_bytes(response.start, response.headers))
    x.reset()


@fault(has_body)
async def reset_in_body(x):
    response = await x.forward()
    await x.write(head_bytes(response.start, response.headers) + x.part_of(response.body))
    x.reset()


@fault(has_body)
async def truncated(x):
    response = await x.forward()
    await x.write(head_bytes(response.start, response.headers) + x.part_of(response.body))
    raise Closed


@fault(has_body)
async def truncated_chunks(x):
    response = await x.forward()
    headers = response.headers.without("content-length").replaced("Transfer-Encoding", "chunked")
    part = x.part_of(response.body)
    chunk = b"%x\r\n%s\r\n" % (len(part), part) if part else b""
    await x.write(head_bytes(response.start, headers) + chunk)
    raise Closed


@fault(has_body)
async def slow_body(x):
    response = await x.forward()
    await x.write(head_bytes(response.start, response.headers))
    await x.dribble(response.body, 10)


@fault(is_get("blob", "manifest"))
async def flipped_byte(x):
    response = await x.forward()
    response.body = x.flipped(response.body)
    await x.send(response)


@fault(is_read("blob", "manifest"))
async def wrong_digest_header(x):
    response = await x.forward()
    other = "sha256:" + hashlib.sha256(response.body + b"x").hexdigest()
    response.headers = response.headers.replaced("Docker-Content-Digest", other)
    await x.send(response)


@fault(is_read("blob", "manifest"))
async def wrong_size(x):
    """A body that is whole, as it seems, but shorter or longer."""
    response = await x.forward()
    body = response.body
    response.body = body[: len(body) // 2] if x.chance(0.5) else body + b"more"
    length = int(response.headers.get("content-length", "0"))
    changed = len(response.body) if x.method == "GET" else length + x.one_of(-1, 1, 1000)
    response.headers = response.headers.replaced("Content-Length", str(max(changed, 0)))
    await x.send(response)


@fault(is_read("blob", "manifest"))
async def wrong_type(x):
    response = await x.forward()
    other = x.one_of("text/html", "application/vnd.oci.image.layer.v1.tar", "no type at all",
                     "application/vnd.docker.distribution.manifest.v1+prettyjws")
    response.headers = response.headers.replaced("Content-Type", other)
    await x.send(response)


@fault(is_get("blob", "manifest", "token"))
async def web_page(x):
    """What hotels and broken load balancers answer."""
    await x.answer(200, [("Content-Type", "text/html")], b"<html><body>Welcome!</body></html>")


@fault(lambda x: is_get("blob")(x) and x.request.headers.get("range"))
async def wrong_range(x):
    way = x.one_of("whole", "offset", "field", "multipart")
    if way == "whole":
        x.request.headers = x.request.headers.without("range")
        return await x.send(await x.forward())
    response = await x.forward()
    if way == "offset":
        response.body = response.body[1:] + b"x"
        response.headers = response.headers.replaced("Content-Range", "bytes 0-10/11")
    elif way == "field":
        response.headers = response.headers.replaced("Content-Range", "bytes 1-2/3")
    else:
        response.headers = response.headers.without("content-range").replaced(
            "Content-Type", "multipart/byteranges; boundary=xx")
    await x.send(response)


@fault(is_get("blob"))
async def elsewhere(x):
    """The blob is at another origin, as with registries that keep them in a cloud's store."""
    place = x.one_of(*x.proxy.others)
    token = x.proxy.lend(x.forwarded_path())
    await x.answer(x.one_of(301, 302, 303, 307, 308), [("Location", f"http://{place}/store/{token}?sig=x")])


@fault(is_get("blob", "manifest"))
async def redirected_to_itself(x):
    await x.answer(307, [("Location", x.request.start[1])])


@fault(is_get("blob"), hostile=True)
async def metadata_service(x):
    await x.answer(307, [("Location", "http://169.254.169.254/latest/meta-data/iam/")])


# Faults in what is written.


@fault(brings_bytes)
async def answered_early(x):
    """The body is not wanted: servers that are too busy do not even read it."""
    await x.answer(x.one_of(500, 503), [("Connection", "close")], b"busy")
    raise Closed


@fault(brings_bytes)
async def reset_in_request(x):
    await x.read_body()
    await x.proxy.backend.send_part(x.forwarded(), x.random.randrange(x.length))
    x.reset()


@fault(brings_bytes)
async def swallowed(x):
    """All bytes were taken, and nothing came of it."""
    await x.read_body()
    x.reset()


@fault(changes)
async def done_but_reset(x):
    await x.forward()
    x.reset()


@fault(changes)
async def done_but_failed(x):
    await x.forward()
    await x.answer(x.one_of(500, 502, 503, 504), [], b"")


@fault(brings_bytes)
async def flipped_in_request(x):
    await x.read_body()
    x.request.body = x.flipped(x.request.body)
    await x.send(await x.forward())


@fault(lambda x: x.method == "PUT" and api(x))
async def stored_as_other(x):
    response = await x.forward()
    other = "sha256:" + hashlib.sha256(b"other").hexdigest()
    response.headers = response.headers.replaced("Docker-Content-Digest", other)
    await x.send(response)


@fault(lambda x: x.what == "upload" and x.method in ("PATCH", "PUT", "GET"))
async def upload_forgotten(x):
    await x.read_body()
    await x.answer(404, [], b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"gone"}]}')


@fault(lambda x: x.what == "upload" and x.method == "POST", hostile=True)
async def upload_elsewhere(x):
    await x.answer(202, [("Location", f"http://{x.proxy.others[1]}/v2/a/blobs/uploads/1")])


@fault(lambda x: x.method == "HEAD" and x.what == "blob", hostile=True)
async def claims_to_have_it(x):
    await x.answer(200, [("Content-Length", "11")])


# Token games.


@fault(api)
async def unauthorized(x):
    """The token is fine, but this machine of the registry does not think so."""
    await x.read_body()
    await x.challenge()


@fault(api)
async def other_scope_wanted(x):
    await x.read_body()
    extra = "repository:somebody/elses:pull"
    await x.challenge(scope=f"{extra} {x.scope()}", error="insufficient_scope")


@fault(api)
async def senseless_challenge(x):
    await x.read_body()
    field = x.one_of("", "Bearer", 'Bearer realm="', 'Negotiate abc, Bearer realm=""',
                     'Basicrealm=nobody', "\x7f\x01=,,,")
    await x.answer(401, [("WWW-Authenticate", field)] if field else [])


@fault(api, hostile=True)
async def foreign_realm(x):
    await x.read_body()
    await x.challenge(realm=f"http://{x.proxy.others[1]}/token")


@fault(lambda x: x.what == "token")
async def token_dies_early(x):
    await x.give_token(seconds=0.5, uses=x.random.randrange(1, 4))


@fault(lambda x: x.what == "token")
async def token_of_one_second(x):
    await x.give_token(seconds=1.0, announced=1)


@fault(lambda x: x.what == "token")
async def token_unknown(x):
    body = {"token": "0123456789abcdef", "expires_in": 300}
    await x.answer(200, [("Content-Type", "application/json")], json.dumps(body).encode())


@fault(lambda x: x.what == "token")
async def token_senseless(x):
    body = x.one_of(b"{}", b'{"token":""}', b'{"token": "abc', b'{"token":"a\\r\\nb"}', b"")
    await x.answer(200, [("Content-Type", "application/json")], body)


class Exchange:
    """One request and what becomes of it."""

    def __init__(self, proxy, request, reader, writer, address):
        self.proxy, self.request = proxy, request
        self.reader, self.writer, self.address = reader, writer, address
        self.method, self.target = request.start[0], request.start[1]
        self.length = int(request.headers.get("content-length", "0"))
        self.status, self.down, self.body_read = 0, 0, self.length == 0
        path, _, self.query = self.target.partition("?")
        found = re.fullmatch(r"/v2/(.+?)/(manifests|blobs/uploads|blobs|tags)/(.*)", path)
        self.repository = found[1] if found else ""
        kinds = {"manifests": "manifest", "blobs/uploads": "upload", "blobs": "blob", "tags": "tags"}
        self.what = kinds[found[2]] if found else "token" if path == "/token" else "ping"
        if self.what == "token":
            scope = urllib.parse.parse_qs(self.query).get("scope", [""])[-1]
            self.op = (scope.split(":") + [""])[1].split("/")[0]
        else:
            self.op = self.repository.split("/")[0]
        if not re.match(r"(op-\d+|(once|always)-\w+)$", self.op):
            self.op = ""
        name = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "UPLOAD", path)
        digest = re.search(r"digest=[^&]*", self.query)
        self.key = f"{self.op} {self.method} {name} {digest[0] if digest else ''}"
        self.random = random.Random(f"{proxy.seed} {self.key} {proxy.occurrence(self.key)}")

    # What faults are made of.

    def one_of(self, *choices):
        return self.random.choice(choices)

    def chance(self, probability):
        return self.random.random() < probability

    def retry_after(self):
        later = email.utils.formatdate(time.time() + 1, usegmt=True)
        return self.one_of("0", "0", "1", later)

    def part_of(self, body):
        return body[: int(len(body) * self.one_of(0.0, 0.01, 0.5, 0.9, 0.999))]

    def flipped(self, body):
        if not body:
            return body
        at = self.random.randrange(len(body))
        return body[:at] + bytes([body[at] ^ (1 << self.random.randrange(8))]) + body[at + 1 :]

    async def read_body(self):
        if not self.body_read:
            self.request.body = await self.reader.readexactly(self.length)
            self.body_read = True

    def forwarded_path(self):
        """The target as the backend knows it."""
        target = self.target
        if self.op:
            target = target.replace(f"/{self.op}/", "/", 1)
            target = target.replace(f"from={self.op}%2F", "from=").replace(f"from={self.op}/", "from=")
        return target

    def forwarded(self):
        headers = self.request.headers.without(*HOP_BY_HOP)
        headers.insert(0, ("Host", self.address))
        return Message([self.method, self.forwarded_path(), "HTTP/1.1"], headers, self.request.body)

    async def forward(self):
        """The registry's own response, and that of the token server."""
        if self.what == "token":
            return self.token_response()
        await self.read_body()
        response = await self.proxy.backend.send(self.forwarded())
        location = response.headers.get("location")
        if location and self.op:
            renamed = location.replace("/v2/", f"/v2/{self.op}/", 1)
            response.headers = response.headers.replaced("Location", renamed)
        response.headers = response.headers.without("connection", "transfer-encoding")
        if self.method != "HEAD" and response.status != 204:
            response.headers = response.headers.replaced("Content-Length", str(len(response.body)))
        if self.status == 0:
            response.headers.append(("Set-Cookie", COOKIE + "; Path=/"))
        return response

    async def write(self, data):
        self.down += len(data)
        self.writer.write(data)
        try:
            await self.writer.drain()
        except ConnectionError:
            raise Closed from None

    async def dribble(self, data, pieces):
        size = max(1, len(data) // pieces)
        for begin in range(0, len(data), size):
            await self.write(data[begin : begin + size])
            await asyncio.sleep(0.03)

    async def send(self, response):
        self.status = response.status
        await self.write(head_bytes(response.start, response.headers) + response.body)

    async def answer(self, status, headers=(), body=b""):
        headers = Headers(headers)
        if not headers.get("content-length"):
            headers.append(("Content-Length", str(len(body))))
        reason = REASONS.get(status, "Status")
        await self.send(Message(["HTTP/1.1", str(status), reason], headers,
                                b"" if self.method == "HEAD" else body))
        if not self.body_read:
            raise Closed

    def reset(self):
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()
        raise Closed

    # Authorization.

    def scope(self):
        if not self.repository:
            return ""
        return f"repository:{self.repository}:" + ("pull,push" if self.is_push() else "pull")

    def is_push(self):
        return self.what == "upload" or self.method in ("PUT", "DELETE")

    async def challenge(self, realm="", scope=None, error=""):
        realm = realm or f"http://{self.address}/token"
        field = f'Bearer realm="{realm}",service="faulty"'
        scope = self.scope() if scope is None else scope
        if scope:
            field += f',scope="{scope}"'
        if error:
            field += f',error="{error}"'
        await self.answer(401, [("WWW-Authenticate", field)],
                          b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}')

    def token_response(self, seconds=300.0, uses=1 << 30, announced=300):
        """Spec: the distribution project's token authentication, GET form."""
        expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.method != "GET" or self.request.headers.get("authorization") != expected:
            body = b'{"details":"incorrect username or password"}'
            return Message(["HTTP/1.1", "401", "Unauthorized"],
                           Headers([("Content-Length", str(len(body)))]), body)
        scopes = collections.defaultdict(set)
        for scope in urllib.parse.parse_qs(self.query).get("scope", []):
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            if kind == "repository" and not name.startswith("somebody/"):
                scopes[name].update(actions.split(","))
        name = self.one_of("token", "access_token")
        body = json.dumps({name: self.proxy.tokens.issue(scopes, seconds, uses),
                           "expires_in": announced}).encode()
        headers = Headers([("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return Message(["HTTP/1.1", "200", "OK"], headers, body)

    async def give_token(self, **how):
        await self.send(self.token_response(**how))

    def is_authorized(self):
        kind, _, token = self.request.headers.get("authorization").partition(" ")
        return kind == "Bearer" and self.proxy.tokens.allows(token, self.repository, self.is_push())

    async def run(self):
        name = self.proxy.choose(self)
        try:
            if name:
                await FAULTS[name].apply(self)
            elif self.what == "token" or self.is_authorized():
                await self.send(await self.forward())
            else:
                await self.read_body()
                await self.challenge()
        finally:
            self.proxy.note(op=self.op, method=self.method, path=self.target, fault=name,
                            status=self.status, up=self.length if self.body_read else 0, down=self.down)


class Proxy:
    def __init__(self, arguments):
        self.backend = Backend(arguments.backend)
        self.seed, self.rate, self.hostile = arguments.seed, arguments.rate, arguments.hostile
        self.log = open(arguments.log, "w", encoding="utf-8")
        self.tokens = Tokens()
        self.seen = collections.Counter()
        self.lent, self.others, self.count = {}, [], 0

    def note(self, **fields):
        self.count += 1
        self.log.write(json.dumps({"n": self.count, **fields}) + "\n")

    def occurrence(self, key):
        self.seen[key] += 1
        return self.seen[key]

    def lend(self, path):
        """A name for a path of the backend, at the other origins."""
        name = hashlib.sha256(path.encode()).hexdigest()[:24]
        self.lent[name] = path
        return name

    def choose(self, x):
        """The fault of this request; None for none."""
        if not x.op and x.what != "ping":
            return None
        when, _, name = (x.op or "op").partition("-")
        # Only who is let in can be answered wrongly; who is not gets the challenge.
        entitled = x.what == "token" or x.is_authorized()
        if when != "op":
            kind = FAULTS.get(name)
            fits = entitled and kind is not None and kind.when(x)
            if not fits or (when == "once" and self.occurrence("once " + x.key) > 1):
                return None
            return name
        if not x.chance(self.rate):
            return None
        hostile = x.op and x.chance(self.hostile)
        fitting = [name for name, kind in FAULTS.items() if kind.hostile == bool(hostile) and kind.when(x)]
        return x.one_of(*fitting) if fitting and entitled else None

    async def serve(self, reader, writer):
        address = "%s:%d" % writer.get_extra_info("sockname")[:2]
        try:
            while True:
                request = await read_head(reader)
                await Exchange(self, request, reader, writer, address).run()
                last = request.headers.get("connection").lower() == "close"
                if last or request.start[2] == "HTTP/1.0":
                    return
        except (Closed, ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def serve_elsewhere(self, reader, writer):
        """Another origin: it gives what was lent, and tells on whoever brings it credentials."""
        try:
            while True:
                request = await read_head(reader)
                body = await read_body(reader, request.headers)
                self.tell_on(request, body)
                response = await self.lent_response(request)
                writer.write(head_bytes(response.start, response.headers) + response.body)
                await writer.drain()
        except (Closed, ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def tell_on(self, request, body):
        seen = [name for name, _ in request.headers
                if name.lower() in ("authorization", "cookie", "proxy-authorization")]
        whole = request.start[1] + body.decode("latin-1")
        seen += [secret for secret in (PASSWORD, COOKIE) if secret in whole]
        self.note(op="elsewhere", method=request.start[0], path=request.start[1], fault=None, status=0,
                  up=len(body), down=0, **({"leak": seen} if seen else {}))

    async def lent_response(self, request):
        name = request.start[1].partition("?")[0].removeprefix("/store/")
        if name not in self.lent:
            body = b'{"token":"from-elsewhere","expires_in":300}'
            return Message(["HTTP/1.1", "200", "OK"], Headers([("Content-Length", str(len(body)))]), body)
        headers = request.headers.without(*HOP_BY_HOP)
        headers.insert(0, ("Host", "store"))
        response = await self.backend.send(
            Message([request.start[0], self.lent[name], "HTTP/1.1"], headers))
        response.headers = Headers((key, value) for key, value in response.headers
                                   if not key.lower().startswith(("docker-", "connection")))
        return response


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--backend", required=True)
    parser.add_argument("--log", required=True)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--hostile", type=float, default=0.005, help="the part of faults that are")
    parser.add_argument("--list", action="store_true", help="the kinds of faults, and end")
    arguments = parser.parse_args()
    proxy = Proxy(arguments)
    front = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=HEAD_LIMIT, backlog=512)
    addresses = {"registry": "%s:%d" % front.sockets[0].getsockname()}
    for host in ("127.0.0.1", "127.0.0.2"):
        other = await asyncio.start_server(proxy.serve_elsewhere, host, 0, limit=HEAD_LIMIT)
        proxy.others.append("%s:%d" % other.sockets[0].getsockname())
    print(json.dumps({**addresses, "other": proxy.others}), flush=True)
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, proxy.log.flush)
    await end.wait()
    proxy.log.close()


if __name__ == "__main__":
    if "--list" in sys.argv:
        for name, kind in FAULTS.items():
            print(name, "hostile" if kind.hostile else "accident")
    else:
        asyncio.run(main())
