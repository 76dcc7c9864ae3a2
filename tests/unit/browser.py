"""A headless Chromium for tests: real mouse, touch and key events, over two pipes.

The browser is asked in its DevTools protocol (https://chromedevtools.github.io/devtools-protocol):
JSON messages, each ended by a zero byte, that it reads from descriptor 3 and writes to 4.
"""
import base64
import io
import json
import os
import select
import shutil
import subprocess
import time

import numpy as np
from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(shutil.which, NAMES), None)
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
           "--disable-background-networking", "--disable-component-update", "--disable-sync",
           "--remote-debugging-pipe")
KEY_CODES = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Tab": 9,
             "Enter": 13, " ": 32}


class Browser:
    """A browser with one page.  folder: for its profile.  Use it in a `with`, which ends it."""

    def __init__(self, folder):
        theirs_in, self.out = os.pipe()
        self.into, theirs_out = os.pipe()

        def give_pipes():  # in the child, before the browser starts
            os.dup2(theirs_in, 3)
            os.dup2(theirs_out, 4)

        self.process = subprocess.Popen([BROWSER, *OPTIONS, f"--user-data-dir={folder}"],
                                        preexec_fn=give_pipes, pass_fds=(3, 4),
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        self.received, self.count, self.events = b"", 0, []
        self.session = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.out)  # the browser ends with its pipe
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.into)

    def send(self, method, **parameters):
        """Send a command and return its result; what happens meanwhile is kept in `events`."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self.count:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self.events.append(answer)

    def _receive(self, seconds=60):
        deadline = time.monotonic() + seconds
        while b"\0" not in self.received:
            ready, _, _ = select.select([self.into], [], [], max(0, deadline - time.monotonic()))
            chunk = os.read(self.into, 2 ** 20) if ready else b""
            assert chunk, "the browser does not answer"
            self.received += chunk
        message, _, self.received = self.received.partition(b"\0")
        return json.loads(message)

    def run(self, expression):
        """The value of a JavaScript expression in the page."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True,
                           awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def open(self, url, width=1280, height=900, touch=False):
        """Open a page and wait until it is loaded."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=touch)
        self.send("Emulation.setTouchEmulationEnabled", enabled=touch)
        self.events.clear()
        self.send("Page.navigate", url=url)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._receive())

    def centre(self, selector):
        """Scroll to an element; (x, y) of its middle in the window."""
        element = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{element}.scrollIntoView({{block: 'center'}})")
        return self.run(f"(r => [r.x + r.width / 2, r.y + r.height / 2])"
                        f"({element}.getBoundingClientRect())")

    def mouse(self, kind, x, y, button="left"):
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, clickCount=1,
                  buttons=0 if kind == "mouseReleased" else 1)

    def click(self, selector):
        x, y = self.centre(selector)
        self.mouse("mousePressed", x, y)
        self.mouse("mouseReleased", x, y)

    def drag(self, selector, dx, dy, steps=4):
        """Press the mouse on an element, move it by (dx, dy) pixels, release it."""
        x, y = self.centre(selector)
        self.mouse("mousePressed", x, y)
        for i in range(1, steps + 1):
            self.mouse("mouseMoved", x + dx * i / steps, y + dy * i / steps)
        self.mouse("mouseReleased", x + dx, y + dy)

    def touch_drag(self, selector, dx, dy, steps=8):
        """The same with a finger."""
        x, y = self.centre(selector)
        self._touch("touchStart", [{"x": x, "y": y}])
        for i in range(1, steps + 1):
            self._touch("touchMove", [{"x": x + dx * i / steps, "y": y + dy * i / steps}])
        self._touch("touchEnd", [])

    def tap(self, selector):
        x, y = self.centre(selector)
        self._touch("touchStart", [{"x": x, "y": y}])
        self._touch("touchEnd", [])

    def _touch(self, kind, points):
        self.send("Input.dispatchTouchEvent", type=kind, touchPoints=points)

    def key(self, name):
        text = {"Enter": "\r", " ": " "}.get(name, "")
        common = {"key": name, "code": "Space" if name == " " else name,
                  "windowsVirtualKeyCode": KEY_CODES[name]}
        self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def pixels(self, selector):
        """What the window shows of an element, (height, width, 3)."""
        self.centre(selector)
        clip = self.run(f"(r => ({{x: r.x + scrollX, y: r.y + scrollY, width: r.width, "
                        f"height: r.height, scale: 1}}))"
                        f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())")
        answer = self.send("Page.captureScreenshot", clip=clip)
        with Image.open(io.BytesIO(base64.b64decode(answer["data"]))) as image:
            return np.asarray(image.convert("RGB")).astype(int)

    def screenshot(self, path, whole=True):
        answer = self.send("Page.captureScreenshot", captureBeyondViewport=whole)
        with open(path, "wb") as file:
            file.write(base64.b64decode(answer["data"]))
