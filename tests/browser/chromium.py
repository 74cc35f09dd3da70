# SPDX-License-Identifier: MIT
"""A headless Chromium, driven through its debugging port with nothing but the standard library."""

import base64
import json
import time
import urllib.request

from browser import Browser
from websocket import JavaScriptError, WebSocket

FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run
    --disable-background-networking --disable-component-update --disable-sync --hide-scrollbars
    --remote-debugging-port=0 --remote-allow-origins=*""".split()


class Chromium(Browser):
    NAME = "chromium"

    def __init__(self, width=1200, height=800, timeout=60):
        super().__init__(timeout)
        self.start(["chromium", *FLAGS, f"--window-size={width},{height}",
                    f"--user-data-dir={self.folder}", "about:blank"])
        try:
            self.page = WebSocket(self.told("DevToolsActivePort", self.find_page), timeout)
            for domain in ("Page", "Runtime"):
                self.call(f"{domain}.enable")
            self.resize(width, height)
        except BaseException:
            self.close()
            raise

    @staticmethod
    def find_page(file):
        """The address of the page's debugger, by the port that Chromium was given."""
        port = file.readline().strip()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
            for target in json.load(answer):
                if target["type"] == "page":
                    return target["webSocketDebuggerUrl"]
        return None

    def call(self, method, **parameters):
        self.calls += 1
        self.page.send(json.dumps({"id": self.calls, "method": method, "params": parameters}))
        return self.wait(lambda message: message.get("id") == self.calls, method)

    def wait(self, is_it, what):
        while True:
            message = json.loads(self.page.receive())
            if message.get("method") == "Runtime.exceptionThrown":
                details = message["params"]["exceptionDetails"]
                self.errors.append(details.get("exception", {}).get("description", details["text"]))
            if is_it(message):
                if "error" in message:
                    raise RuntimeError(f"{what}: {message['error']}")
                return message.get("result", message.get("params"))

    def open(self, url):
        """Load a page anew and wait until it has loaded. Returns seconds until two frames later."""
        self.call("Page.navigate", url="about:blank")
        self.wait(lambda message: message.get("method") == "Page.loadEventFired", "about:blank")
        began = time.monotonic()
        self.call("Page.navigate", url=url)
        self.wait(lambda message: message.get("method") == "Page.loadEventFired", url)
        self.painted()
        return time.monotonic() - began

    def run(self, expression):
        """The value of a JavaScript expression, awaited if it is a promise."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                           awaitPromise=True, userGesture=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise JavaScriptError(details.get("exception", {}).get("description", details["text"]))
        return answer["result"].get("value")

    def resize(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=False)

    def dark(self, is_dark):
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}])

    def press(self, key, text=None, modifiers=0):
        """A key, by its DOM name; one character is typed as text, too."""
        text = key if text is None and len(key) == 1 else text
        more = {"text": text} if text else {"text": "\r"} if key == "Enter" else {}
        codes = {"Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39,
                 "ArrowDown": 40, "Tab": 9}
        if key in codes:
            more["windowsVirtualKeyCode"] = codes[key]
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, modifiers=modifiers, **more)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, modifiers=modifiers)

    def move(self, x, y):
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, x, y):
        self.move(x, y)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def drag(self, x1, y1, x2, y2, shift=False):
        self.move(x1, y1)
        for kind, x, y in (("mousePressed", x1, y1), ("mouseMoved", (x1 + x2) / 2, y2),
                           ("mouseMoved", x2, y2), ("mouseReleased", x2, y2)):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1,
                      clickCount=1, modifiers=8 if shift else 0)

    def wheel(self, x, y, delta):
        self.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=delta)

    def touch(self, *steps):
        """Fingers: of each step where they are, [(x, y), ...]; at the end all leave."""
        for i, points in enumerate([*steps, []]):
            self.call("Input.dispatchTouchEvent",
                      type="touchStart" if i == 0 else "touchMove" if points else "touchEnd",
                      touchPoints=[{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(points)])

    def screenshot(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
