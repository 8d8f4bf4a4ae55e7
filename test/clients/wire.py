"""PostgreSQL's protocol, as far as the test clients need it that no client
library would do: sending something and not reading the answer, stopping in the
middle of a login, seeing exactly how a session ends. Unix-domain sockets only.
"""

import array
import fcntl
import select
import socket
import struct
import termios

TERMINATE = b"X\0\0\0\4"


def message(kind, body=b""):
    return kind + struct.pack("!i", len(body) + 4) + body


def query(statement):
    return message(b"Q", statement.encode() + b"\0")


def startup(**parameters):
    words = b"".join(k.encode() + b"\0" + v.encode() + b"\0" for k, v in parameters.items())
    body = struct.pack("!i", 196608) + words + b"\0"
    return struct.pack("!i", len(body) + 4) + body


def fields(data):
    """The columns of a DataRow, as text."""
    number = struct.unpack("!h", data[:2])[0]
    at = 2
    values = []
    for _ in range(number):
        length = struct.unpack("!i", data[at : at + 4])[0]
        at += 4
        values.append(None if length < 0 else data[at : at + length].decode())
        at += max(length, 0)
    return values


def field(error, kind):
    """Of an ErrorResponse."""
    for part in error.split(b"\0"):
        if part[:1] == kind:
            return part[1:].decode()
    return None


def sqlstate(error):
    return field(error, b"C")


class Ended(Exception):
    """The server has ended the session; sqlstate is None if it did not say why."""

    def __init__(self, error=b""):
        self.sqlstate = sqlstate(error)
        super().__init__(self.sqlstate)
        self.said = [field(error, kind) for kind in (b"M", b"D", b"H")]


class Wire:
    def __init__(self, host, port):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(f"{host}/.s.PGSQL.{port}")
        self.buffer = b""
        self.pid = None

    def send(self, *messages):
        """What comes back if the server has gone is seen when it is read."""
        try:
            self.sock.sendall(b"".join(messages))
        except OSError:
            pass

    def receive(self):
        try:
            data = self.sock.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            raise Ended()
        self.buffer += data

    def next_message(self):
        """Kind and body; raises Ended after a FATAL error or at the end."""
        while len(self.buffer) < 5 or len(self.buffer) <= struct.unpack("!i", self.buffer[1:5])[0]:
            self.receive()
        length = struct.unpack("!i", self.buffer[1:5])[0]
        kind, body = self.buffer[:1], self.buffer[5 : length + 1]
        self.buffer = self.buffer[length + 1 :]
        if kind == b"K":
            self.pid = struct.unpack("!i", body[:4])[0]
        if kind == b"E" and b"VFATAL\0" in body:
            raise Ended(body)
        return kind, body

    def until(self, wanted):
        """All rows up to a message of that kind."""
        rows = []
        while True:
            kind, body = self.next_message()
            if kind == b"D":
                rows.append(fields(body))
            if kind == wanted:
                return rows

    def ask(self, statement):
        """The rows of one statement."""
        self.send(query(statement))
        return self.until(b"Z")

    def something_came(self, seconds):
        """Does anything come from the server within that time?"""
        return self.buffer != b"" or select.select([self.sock], [], [], seconds)[0] != []

    def bytes_that_wait(self):
        """How much has come from the server and was not read yet."""
        waiting = array.array("i", [0])
        fcntl.ioctl(self.sock, termios.FIONREAD, waiting)
        return waiting[0]

    def end_of_it(self):
        """Reads to the end: the FATAL error's SQLSTATE, or None."""
        try:
            while True:
                self.next_message()
        except Ended as end:
            return end.sqlstate

    def hang_up(self):
        """Says no goodbye, but hears what the server still says."""
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()
