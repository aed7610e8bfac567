"""A real browser without a network, led by the DevTools protocol through two pipes."""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
AXE = ROOT / ".browser" / "axe.min.js"
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--remote-debugging-pipe",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--force-color-profile=srgb",
)
KEYS = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Home": 36, "End": 35}
KEYS |= {"Escape": 27, "Tab": 9}
PATIENCE = 60.0  # seconds for what takes milliseconds


def program():
    """Where a browser is."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    return found or missing("there is no Chromium; `make browser` installs it for root on Debian")


def axe():
    """The text of axe-core."""
    if not AXE.exists():
        missing("there is no axe-core: `make browser` fetches it where there is npm")
    return AXE.read_text(encoding="utf-8")


def check_with_axe(page):
    """axe-core finds no violation, in much that it looks at."""
    page.value(axe())
    found = json.loads(
        page.value(
            "axe.run().then(({violations, passes}) => JSON.stringify({passes: passes.length, "
            "violations: violations.map((v) => [v.id, v.help, v.nodes.map((n) => n.html)])}))"
        )
    )
    assert found["violations"] == []
    assert found["passes"] > 20


def missing(why):
    """Skip the test and say why; on servers, where all was to be installed, it fails."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


class Browser:
    """A process of Chromium; `open` gives a page. Used as a context."""

    def __init__(self, folder):
        found, root = program(), hasattr(os, "geteuid") and os.geteuid() == 0
        options = [*FLAGS, f"--user-data-dir={folder}", *(["--no-sandbox"] if root else [])]
        (its_input, self._commands), (self._answers, its_output) = os.pipe(), os.pipe()
        # It reads commands from descriptor 3 and answers on 4.
        shell = f'exec "$@" 3<&{its_input} 4>&{its_output}'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "bash", found, *options],
            pass_fds=(its_input, its_output),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(its_input)
        os.close(its_output)
        self._id, self._rest, self._events = 0, b"", []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.send("Browser.close")
            self._process.wait(PATIENCE)
        finally:
            self._process.kill()
            os.close(self._commands)
            os.close(self._answers)

    def open(self, path, **options):
        return Page(self, path, **options)

    def send(self, method, session=None, **parameters):
        """What a command answers."""
        self._id += 1
        message = {"id": self._id, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        answer = self._wait(lambda found: found.get("id") == self._id)
        assert "error" not in answer, (method, answer)
        return answer["result"]

    def events(self, session):
        """All events so far of a page: (name, what it says)."""
        found = [each for each in self._events if "method" in each]
        return [(e["method"], e["params"]) for e in found if e.get("sessionId") == session]

    def forget(self, session):
        """Leave out the events of a page that is closed."""
        self._events = [each for each in self._events if each.get("sessionId") != session]

    def _wait(self, wanted):
        seen = 0
        end = time.monotonic() + PATIENCE
        while True:
            for found in self._events[seen:]:
                if wanted(found):
                    return found
            seen = len(self._events)
            assert time.monotonic() < end, "the browser does not answer"
            self._read()

    def _read(self):
        if not select.select([self._answers], [], [], 1.0)[0]:
            return
        *whole, self._rest = (self._rest + os.read(self._answers, 1 << 20)).split(b"\0")
        assert self._process.poll() is None or whole, "the browser has ended"
        self._events += map(json.loads, whole)


class Page:
    """A file as a page of its own size, light or dark."""

    def __init__(self, browser, path, *, width=1100, height=900, dark=False, script=True):
        target = browser.send("Target.createTarget", url="about:blank")["targetId"]
        attached = browser.send("Target.attachToTarget", targetId=target, flatten=True)
        self._browser, self._target, self._session = browser, target, attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.size(width, height)
        self.send("Emulation.setScriptExecutionDisabled", value=not script)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.send("Page.navigate", url=Path(path).as_uri())
        end = time.monotonic() + PATIENCE
        while self.value("location.href + document.readyState") != f"{Path(path).as_uri()}complete":
            assert time.monotonic() < end, "the page does not load"
            time.sleep(0.01)

    def send(self, method, **parameters):
        return self._browser.send(method, self._session, **parameters)

    def size(self, width, height):
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def close(self):
        self._browser.forget(self._session)
        self._browser.send("Target.closeTarget", targetId=self._target)

    def value(self, expression):
        """What an expression of JavaScript gives."""
        answer = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def hover(self, x, y):
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def press(self, key):
        for kind in ("keyDown", "keyUp"):
            self.send(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=KEYS[key],
            )

    def screenshot(self, path):
        """All of the page as a PNG file."""
        image = self.send("Page.captureScreenshot", captureBeyondViewport=True)
        Path(path).write_bytes(base64.b64decode(image["data"]))

    def printed(self):
        """The bytes of a PDF."""
        return base64.b64decode(self.send("Page.printToPDF", printBackground=True)["data"])

    def complaints(self):
        """What the console shows: errors, warnings, violations of the policy, exceptions."""
        names = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        events = self._browser.events(self._session)
        return [said for method, said in events if method in names]

    def requests(self):
        """The addresses that were asked for."""
        events = self._browser.events(self._session)
        return [
            e["request"]["url"] for method, e in events if method == "Network.requestWillBeSent"
        ]
