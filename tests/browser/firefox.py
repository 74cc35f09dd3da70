# SPDX-License-Identifier: MIT
"""A headless Firefox, driven through WebDriver BiDi with nothing but the standard library.

The same calls as chromium.py's, as far as the tests of pages need them.
"""

import base64
import json
import os
import shutil
import time

from browser import Browser
from websocket import JavaScriptError, WebSocket

PREFERENCES = {
    "app.normandy.enabled": False,
    "app.update.enabled": False,
    "browser.aboutwelcome.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "layout.css.prefers-color-scheme.content-override": 1,  # light, whatever the desktop
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "toolkit.telemetry.enabled": False,
}

# https://www.w3.org/TR/webdriver2/#keyboard-actions
KEYS = {"Enter": "\ue007", "Escape": "\ue00c", "ArrowLeft": "\ue012", "ArrowUp": "\ue013",
        "ArrowRight": "\ue014", "ArrowDown": "\ue015", "Tab": "\ue004"}
SHIFT = "\ue008"


def find():
    """The program, or None."""
    return shutil.which("firefox-esr") or shutil.which("firefox")


class Firefox(Browser):
    NAME = "firefox"

    def __init__(self, width=1200, height=800, timeout=60):
        super().__init__(timeout)
        with open(os.path.join(self.folder, "user.js"), "w", encoding="ascii") as file:
            for name, value in PREFERENCES.items():
                file.write(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n")
        self.start([find(), "--headless", "--no-remote", "--profile", self.folder,
                    "--remote-debugging-port=0", "about:blank"],
                   env={**os.environ, "HOME": self.folder})
        try:
            self.page = WebSocket(self.told("WebDriverBiDiServer.json", self.find_page), timeout)
            self.call("session.new", capabilities={})
            self.context = self.call("browsingContext.getTree")["contexts"][0]["context"]
            self.call("session.subscribe", events=["log.entryAdded"])
            self.resize(width, height)
        except BaseException:
            self.close()
            raise

    @staticmethod
    def find_page(file):
        """The address of Firefox's WebDriver socket."""
        told = json.load(file)
        return f"ws://{told['ws_host']}:{told['ws_port']}/session"

    def call(self, method, **parameters):
        self.calls += 1
        self.page.send(json.dumps({"id": self.calls, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.page.receive())
            if message.get("method") == "log.entryAdded":
                entry = message["params"]
                if entry["type"] == "javascript" and entry["level"] == "error":
                    self.errors.append(entry["text"])
            if message.get("id") == self.calls:
                if message["type"] == "error":
                    raise RuntimeError(f"{method}: {message['error']}: {message['message']}")
                return message["result"]

    def open(self, url):
        """Load a page anew and wait until it has loaded. Returns seconds until two frames later."""
        for address in ("about:blank", url):
            began = time.monotonic()
            self.call("browsingContext.navigate", context=self.context, url=address,
                      wait="complete")
        self.painted()
        return time.monotonic() - began

    def run(self, expression):
        """The value of a JavaScript expression, awaited if it is a promise."""
        answer = self.call(
            "script.evaluate", awaitPromise=True, userActivation=True,
            target={"context": self.context},
            expression=f"(async () => JSON.stringify([await ({expression})]))()")
        if answer["type"] == "exception":
            raise JavaScriptError(answer["exceptionDetails"]["text"])
        return json.loads(answer["result"]["value"])[0]

    def resize(self, width, height):
        self.call("browsingContext.setViewport", context=self.context,
                  viewport={"width": width, "height": height})

    def act(self, *sources):
        self.call("input.performActions", context=self.context, actions=sources)

    @staticmethod
    def keys(*steps):
        return {"type": "key", "id": "keys",
                "actions": [{"type": kind, "value": value} for kind, value in steps]}

    @staticmethod
    def pointer(*steps, kind="mouse", number=0):
        """Steps: (x, y) to go there, True to press, False to release, None to wait for others."""
        actions = []
        for step in steps:
            if step is None:
                actions.append({"type": "pause"})
            elif isinstance(step, bool):
                actions.append({"type": "pointerDown" if step else "pointerUp", "button": 0})
            else:
                actions.append({"type": "pointerMove", "x": round(step[0]), "y": round(step[1])})
        return {"type": "pointer", "id": f"{kind}{number}", "parameters": {"pointerType": kind},
                "actions": actions}

    def press(self, key):
        key = KEYS.get(key, key)
        self.act(self.keys(("keyDown", key), ("keyUp", key)))

    def move(self, x, y):
        self.act(self.pointer((x, y)))

    def click(self, x, y):
        self.act(self.pointer((x, y), True, False))

    def drag(self, x1, y1, x2, y2, shift=False):
        if shift:
            self.act(self.keys(("keyDown", SHIFT)))
        self.act(self.pointer((x1, y1), True, ((x1 + x2) / 2, y2), (x2, y2), False))
        if shift:
            self.act(self.keys(("keyUp", SHIFT)))

    def wheel(self, x, y, delta):
        self.act({"type": "wheel", "id": "wheel", "actions": [
            {"type": "scroll", "x": round(x), "y": round(y), "deltaX": 0, "deltaY": delta}]})

    def touch(self, *steps):
        """Fingers: of each step where they are, [(x, y), ...]; at the end all leave."""
        fingers = [[points[n] for points in steps] for n in range(len(steps[0]))]
        self.act(*(self.pointer(places[0], True, *places[1:], False, kind="touch", number=n)
                   for n, places in enumerate(fingers)))

    def screenshot(self, path):
        answer = self.call("browsingContext.captureScreenshot", context=self.context)
        with open(path, "wb") as file:
            file.write(base64.b64decode(answer["data"]))
