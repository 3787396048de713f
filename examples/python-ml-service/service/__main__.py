"""GET /predict?input=1.5 answers {"input": 1.5, "output": …}; GET /healthz answers "ok"."""

import argparse
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from service import model


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urlsplit(self.path)
        if url.path == "/healthz":
            self.answer(200, "ok")
        elif url.path == "/predict":
            self.predict(parse_qs(url.query))
        else:
            self.answer(404, "not found")

    def predict(self, query):
        try:
            value = float(query["input"][0])
        except (KeyError, ValueError):
            self.answer(400, "input must be a number")
            return
        output = round(self.server.model.predict(value), 1)
        self.answer(200, json.dumps({"input": value, "output": output}))

    def answer(self, status, text):
        body = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main():
    parser = argparse.ArgumentParser(prog="service", description=__doc__)
    parser.add_argument("--port", type=int, default=8080, help="0 takes a free one")
    server = ThreadingHTTPServer(("", parser.parse_args().port), Handler)
    server.model = model.load()
    print(f"listening on port {server.server_port}")
    server.serve_forever()


if __name__ == "__main__":
    main()
