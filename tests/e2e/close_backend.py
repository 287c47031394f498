# SPDX-License-Identifier: GPL-2.0-only
"""close_backend.py PORT - a backend of the old kind: no length, no chunks, the response ends where the
connection does. It takes half a second over 40 lines, and reads one request."""

import socket
import sys
import threading
import time


def serve(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            connection.close()
            return
        data += part
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n")
    for number in range(40):
        connection.sendall(b"line %d\n" % number)
        time.sleep(0.012)
    connection.sendall(b"the end\n")
    # Read what came meanwhile, or closing would reset the connection.
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(3)
    try:
        while connection.recv(65536):
            pass
    except OSError:
        pass
    connection.close()


listener = socket.create_server(("", int(sys.argv[1])), backlog=64)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
