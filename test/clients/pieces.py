"""A client that sends its statement in two pieces.

usage: pieces.py HOST PORT USER plain|tls KEEP_BACK PADDING

Speaks the protocol itself, because no client library would do this. Logs in as
application "pieces" and prints "pid N". Then for each line on its input:

  first   sends the statement but for its last KEEP_BACK bytes ("tls": bytes of
          its encrypted form), and answers "sent"
  rest    sends the rest, and answers with the first column of the result, or
          "closed" when the server has closed the connection

The statement is SELECT 42 with a comment of PADDING bytes. HOST is a folder for
a Unix-domain socket.
"""

import socket
import ssl
import struct
import sys


class Client:
    def __init__(self, host, port, user, tls):
        if host.startswith("/"):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.connect(f"{host}/.s.PGSQL.{port}")
        else:
            self.sock = socket.create_connection((host, int(port)))
        self.tls = None
        self.buffer = b""
        if tls:
            self.start_tls()
        words = ["user", user, "database", "postgres", "application_name", "pieces"]
        body = struct.pack("!i", 196608) + b"".join(w.encode() + b"\0" for w in words) + b"\0"
        self.send(self.seal(struct.pack("!i", len(body) + 4) + body))
        self.pid = None
        for kind, data in self.until_ready():
            if kind == b"K":
                self.pid = struct.unpack("!i", data[:4])[0]

    def start_tls(self):
        self.sock.sendall(struct.pack("!ii", 8, 80877103))
        if self.sock.recv(1) != b"S":
            sys.exit("the server offers no TLS")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing)
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.send(self.outgoing.read())
                self.incoming.write(self.sock.recv(65536))
        self.send(self.outgoing.read())

    def send(self, data):
        self.sock.sendall(data)

    def seal(self, data):
        """The bytes that go over the wire for this data."""
        if self.tls is None:
            return data
        self.tls.write(data)
        return self.outgoing.read()

    def receive(self):
        data = self.sock.recv(65536)
        if not data:
            raise ConnectionError("closed")
        if self.tls is None:
            self.buffer += data
            return
        self.incoming.write(data)
        while True:
            try:
                plain = self.tls.read(65536)
            except ssl.SSLWantReadError:
                return
            if not plain:
                raise ConnectionError("closed")
            self.buffer += plain

    def message(self):
        while True:
            if len(self.buffer) >= 5:
                length = struct.unpack("!i", self.buffer[1:5])[0]
                if len(self.buffer) > length:
                    kind, data = self.buffer[:1], self.buffer[5 : length + 1]
                    self.buffer = self.buffer[length + 1 :]
                    return kind, data
            self.receive()

    def until_ready(self):
        while True:
            kind, data = self.message()
            yield kind, data
            if kind == b"Z":
                return

    def answer(self):
        value = "no row"
        try:
            for kind, data in self.until_ready():
                if kind == b"D":
                    length = struct.unpack("!i", data[2:6])[0]
                    value = data[6 : 6 + length].decode()
        except (ConnectionError, ssl.SSLError):
            return "closed"
        return value


def main():
    host, port, user, how, keep_back, padding = sys.argv[1:7]
    client = Client(host, port, user, how == "tls")
    print(f"pid {client.pid}", flush=True)
    text = b"SELECT 42 /* " + b"x" * int(padding) + b" */\0"
    wire = client.seal(b"Q" + struct.pack("!i", len(text) + 4) + text)
    cut = len(wire) - int(keep_back)
    for line in sys.stdin:
        if line.strip() == "first":
            client.send(wire[:cut])
            print("sent", flush=True)
        else:
            client.send(wire[cut:])
            print(client.answer(), flush=True)


main()
