# SPDX-License-Identifier: MIT
"""A client of PostgreSQL that sends the messages it is told to, for what no driver would send.

postgresql.org/docs/15/protocol-message-formats.html
"""

import socket
import struct

PROTOCOL = 3 << 16


def message(kind, body=b""):
    return kind + struct.pack("!I", len(body) + 4) + body


def query(sql):
    return message(b"Q", sql.encode() + b"\0")


def parse(sql, name=b""):
    return message(b"P", name + b"\0" + sql.encode() + b"\0" + struct.pack("!H", 0))


def bind(name=b"", portal=b""):
    """Of a statement without parameters."""
    return message(b"B", portal + b"\0" + name + b"\0" + struct.pack("!HHH", 0, 0, 0))


def execute(portal=b"", rows=0):
    """At most so many rows; 0: all."""
    return message(b"E", portal + b"\0" + struct.pack("!I", rows))


def extended(sql):
    """As most drivers send a statement."""
    return parse(sql) + bind() + execute()


SYNC = message(b"S")


class Connection:
    def __init__(self, directory, user, database):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(f"{directory}/.s.PGSQL.5432")
        self.data = b""
        body = f"user\0{user}\0database\0{database}\0\0".encode()
        self.socket.sendall(struct.pack("!II", len(body) + 8, PROTOCOL) + body)
        self.wait()

    def send(self, *messages):
        self.socket.sendall(b"".join(messages))

    def wait(self):
        """Until it is ready for the next query; the kinds of its messages."""
        kinds = b""
        while not kinds.endswith(b"Z"):
            while len(self.data) < 5 or len(self.data) <= struct.unpack("!I", self.data[1:5])[0]:
                more = self.socket.recv(65536)
                if not more:
                    raise ConnectionError("the server has closed the connection")
                self.data += more
            kinds += self.data[:1]
            self.data = self.data[struct.unpack("!I", self.data[1:5])[0] + 1:]
        return kinds

    def run(self, *messages):
        self.send(*messages)
        return self.wait()

    def close(self):
        """And waits until its backend has exited."""
        self.send(message(b"X"))
        while self.socket.recv(65536):
            pass
        self.socket.close()
