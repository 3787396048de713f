"""Ends TLS on a free port of 127.0.0.1 and passes the bytes on to another port.

Usage: tls_front.py <port> <certificate and key.pem> [min=1.0] [max=1.1] [alpn=h2] [client_ca=ca.pem]

Prints its port, and a line "alpn <protocol>" or "refused <reason>" for each connection. Ends with
its standard input.
"""

import os
import socket
import ssl
import sys
import threading

VERSIONS = {"1.0": ssl.TLSVersion.TLSv1, "1.1": ssl.TLSVersion.TLSv1_1,
            "1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def context_of(pem, options):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # A server may be as weak as it likes: it is the client that is tested.
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_cert_chain(pem)
    context.minimum_version = VERSIONS[options.get("min", "1.2")]
    context.maximum_version = VERSIONS[options.get("max", "1.3")]
    if "alpn" in options:
        context.set_alpn_protocols([options["alpn"]])
    if "client_ca" in options:
        context.load_verify_locations(options["client_ca"])
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def copy(source, to):
    try:
        while data := source.recv(65536):
            to.sendall(data)
    except OSError:
        pass
    for end in (source, to):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(plain, context, port):
    try:
        tls = context.wrap_socket(plain, server_side=True)
    except (OSError, ssl.SSLError) as error:
        print("refused", str(error).replace("\n", " "), flush=True)
        return
    print("alpn", tls.selected_alpn_protocol() or "none",
          "client" if tls.getpeercert(True) else "anonymous", flush=True)
    with tls, socket.create_connection(("127.0.0.1", port)) as behind:
        thread = threading.Thread(target=copy, args=(behind, tls), daemon=True)
        thread.start()
        copy(tls, behind)
        thread.join()


def main():
    port, pem, *words = sys.argv[1:]
    context = context_of(pem, dict(word.split("=", 1) for word in words))
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)

    def accept():
        while True:
            plain, _ = listener.accept()
            threading.Thread(target=serve, args=(plain, context, int(port)), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    while os.read(0, 4096):
        pass
    os._exit(0)


main()
