#!/usr/bin/env python3
"""A token server for docker-registry, for tests.

    token_server.py --key KEY.pem --certificate CERT.pem --users FILE --log FILE
                    [--lifetime SECONDS] [--tls]

The first line of its output says, as JSON, where it listens. FILE of users has a line "name:password"
each, "reader" may only pull; without credentials, only what is below public/ may be pulled. Tokens are
JWTs signed with the key (RS256, by the program openssl), with the certificate as x5c: what
docker-registry's auth.token.rootcertbundle wants. GET with Basic and POST (OAuth2: password and
refresh_token) are understood; who asks with offline_token or access_type=offline gets a refresh token.
--log gets a line of JSON for each request: method, account, grant, scopes, status.

Spec: distribution, "Token Authentication Specification" and "OAuth2 Token Authentication".
"""

import argparse
import base64
import hashlib
import http.server
import json
import secrets
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse

ISSUER, SERVICE = "test-issuer", "test-registry"


def encoded(data):
    if not isinstance(data, bytes):
        data = json.dumps(data, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, arguments):
        super().__init__(("127.0.0.1", 0), Handler)
        self.arguments, self.lock = arguments, threading.Lock()
        self.log = open(arguments.log, "a", encoding="utf-8")
        with open(arguments.users, encoding="utf-8") as file:
            self.users = dict(line.rstrip("\n").split(":", 1) for line in file)
        with open(arguments.certificate, encoding="ascii") as file:
            self.certificate = "".join(file.read().split("-----")[2].split())
        self.refresh_tokens = {}
        if arguments.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(arguments.certificate, arguments.key)
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def sign(self, text):
        return subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.arguments.key],
                              input=text.encode(), capture_output=True, check=True).stdout

    def token(self, account, access):
        now = int(time.time())
        header = {"typ": "JWT", "alg": "RS256", "x5c": [self.certificate]}
        # docker-registry allows no leeway: a clock that steps back would make new tokens invalid.
        claims = {"iss": ISSUER, "sub": account, "aud": SERVICE, "nbf": now - 5, "iat": now,
                  "exp": now + self.arguments.lifetime, "jti": secrets.token_hex(8), "access": access}
        text = encoded(header) + "." + encoded(claims)
        return text + "." + encoded(self.sign(text))

    def new_refresh_token(self, account):
        token = secrets.token_urlsafe(32)
        with self.lock:
            self.refresh_tokens[hashlib.sha256(token.encode()).hexdigest()] = account
        return token

    def account_of(self, refresh_token):
        with self.lock:
            return self.refresh_tokens.get(hashlib.sha256(refresh_token.encode()).hexdigest())

    def note(self, **fields):
        with self.lock:
            self.log.write(json.dumps(fields) + "\n")
            self.log.flush()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        fields = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        kind, _, coded = self.headers.get("Authorization", "").partition(" ")
        account, grant = "", "anonymous"
        if kind:
            grant = "basic"
            name, _, password = base64.b64decode(coded).decode().partition(":")
            account = name if kind == "Basic" and self.server.users.get(name) == password else None
        offline = fields.get("offline_token", [""])[-1] == "true"
        self.reply(account, grant, fields, fields.get("scope", []), offline)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        fields = urllib.parse.parse_qs(body)
        value = {name: values[-1] for name, values in fields.items()}
        grant, account = value.get("grant_type", ""), None
        if grant == "password" and "username" in value:
            name = value["username"]
            account = name if self.server.users.get(name) == value.get("password") else None
        elif grant == "refresh_token":
            account = self.server.account_of(value.get("refresh_token", ""))
        if not value.get("client_id"):
            account = None
        self.reply(account, grant, fields, value.get("scope", "").split(),
                   value.get("access_type") == "offline")

    def reply(self, account, grant, fields, scopes, offline):
        if account is None or fields.get("service", [SERVICE])[-1] != SERVICE:
            self.send(401, {"errors": [{"code": "UNAUTHORIZED", "message": "wrong user or password"}]})
        else:
            token = self.server.token(account, [self.access(account, scope) for scope in scopes])
            answer = {"token": token, "access_token": token,
                      "expires_in": self.server.arguments.lifetime}
            if offline and account:
                answer["refresh_token"] = self.server.new_refresh_token(account)
            self.send(200, answer)
        self.server.note(method=self.command, account=account, grant=grant, scopes=scopes,
                         status=200 if account is not None else 401)

    @staticmethod
    def access(account, scope):
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        asked = set(actions.split(","))
        allowed = asked
        if account == "reader":
            allowed = asked & {"pull"}
        elif not account:
            allowed = asked & {"pull"} if name.startswith("public/") else set()
        return {"type": kind, "name": name, "actions": sorted(allowed)}

    def send(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--key", required=True)
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--users", required=True)
    parser.add_argument("--log", required=True)
    parser.add_argument("--lifetime", type=int, default=60)
    parser.add_argument("--tls", action="store_true")
    arguments = parser.parse_args()
    server = TokenServer(arguments)
    scheme = "https" if arguments.tls else "http"
    print(json.dumps({"realm": f"{scheme}://127.0.0.1:{server.server_port}/token"}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
