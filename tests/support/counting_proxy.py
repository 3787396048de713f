#!/usr/bin/env python3
"""A TCP proxy that counts the bytes on their way to a server and back.

  counting_proxy.py SERVER_HOST:PORT PORTS_FILE

Writes "PORT CONTROL_PORT" to PORTS_FILE once it listens on 127.0.0.1. A line sent to the control port is
answered with one: "counts" with "RECEIVED SENT", as the server sees them; "wait N" the same, as soon as
the server has received N bytes.
"""

import os
import socket
import sys
import threading

counts = {"received": 0, "sent": 0}
changed = threading.Condition()


def pump(source, target, direction):
    try:
        while block := source.recv(1 << 16):
            target.sendall(block)
            with changed:
                counts[direction] += len(block)
                changed.notify_all()
        target.shutdown(socket.SHUT_WR)
    except OSError:
        # Whichever side broke, the other is to see it.
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def carry(client, server_address):
    server = socket.create_connection(server_address)
    back = threading.Thread(target=pump, args=(server, client, "sent"), daemon=True)
    back.start()
    pump(client, server, "received")
    back.join()
    client.close()
    server.close()


def control(connection):
    with connection, connection.makefile("rw") as lines:
        for line in lines:
            words = line.split()
            with changed:
                if words[0] == "wait":
                    changed.wait_for(lambda: counts["received"] >= int(words[1]), timeout=300)
                lines.write(f"{counts['received']} {counts['sent']}\n")
            lines.flush()


def accept(listener, handler, *arguments):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=handler, args=(connection, *arguments), daemon=True).start()


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    proxy = socket.create_server(("127.0.0.1", 0))
    controller = socket.create_server(("127.0.0.1", 0))
    with open(sys.argv[2] + ".new", "w") as out:
        out.write(f"{proxy.getsockname()[1]} {controller.getsockname()[1]}\n")
    os.rename(sys.argv[2] + ".new", sys.argv[2])
    threading.Thread(target=accept, args=(controller, control), daemon=True).start()
    accept(proxy, carry, (host, int(port)))


main()
