# SPDX-License-Identifier: MIT
"""What drivers of browsers share: their connection."""

import base64
import os
import re
import socket


class JavaScriptError(Exception):
    pass


class WebSocket:
    """The client's side of RFC 6455, as far as a debugger needs it: text, in order, unencrypted."""

    def __init__(self, url, timeout):
        host, port, path = re.match(r"ws://([^:/]+):(\d+)(/.*)", url).groups()
        self.socket = socket.create_connection((host, int(port)), timeout)
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n\r\n".encode()
        )
        self.input = self.socket.makefile("rb")
        status = self.input.readline()
        if b" 101 " not in status:
            raise ConnectionError(f"no WebSocket: {status!r}")
        while self.input.readline() not in (b"\r\n", b""):
            pass

    def send(self, text):
        data, mask = text.encode(), os.urandom(4)
        if len(data) < 126:
            size = bytes([0x80 | len(data)])
        elif len(data) < 65536:
            size = b"\xfe" + len(data).to_bytes(2, "big")
        else:
            size = b"\xff" + len(data).to_bytes(8, "big")
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
        self.socket.sendall(b"\x81" + size + mask + masked)

    def receive(self):
        """The next whole message."""
        message = b""
        while True:
            head = self.input.read(2)
            if len(head) < 2:
                raise ConnectionError("the browser has gone")
            size = head[1] & 0x7F
            if size >= 126:
                size = int.from_bytes(self.input.read(2 if size == 126 else 8), "big")
            data = self.input.read(size)
            if head[0] & 0x0F > 2:  # a ping or the like
                continue
            message += data
            if head[0] & 0x80:
                return message.decode()

    def close(self):
        self.input.close()
        self.socket.close()
