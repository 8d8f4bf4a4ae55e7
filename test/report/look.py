"""Looks at a page in Chromium, without a network: is any text over other text, is anything
outside of the window, does anything ask for something from elsewhere?

usage: look.py [--pictures=PREFIX [--part=SELECTOR]] CHROMIUM PAGE ...

For each page, width, light and dark, and on paper, one line: "PAGE WIDTH SCHEME: texts N, overlaps N,
outside N, requests N, messages N", and one more for each finding. --pictures: each page's
picture goes to PREFIX-WIDTH-SCHEME.png; --part: of this element alone, with what comes after
it as far as it is said: SELECTOR+PIXELS. Speaks to the browser by --remote-debugging-pipe,
with the standard library alone.
"""

import base64
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

LOOKS = [(width, scheme) for width in (400, 800, 1400) for scheme in ("light", "dark")] + [(720, "print")]
PICTURED = (400, 1400)
PATIENCE = 180  # s, for one look
TALLEST = 12000  # px, of a picture

# Boxes of lines of text: of different text nodes, none may lie on another, by more than a
# pixel (letters have less ink than box). What is hidden has none.
FINDINGS = """(() => {
  const boxes = [], overlaps = [], outside = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode()); ) {
    const parent = node.parentElement;
    if (!node.data.trim() || parent.closest('style,title,desc') || getComputedStyle(parent).visibility === 'hidden') continue;
    if (parent.closest('thead') && getComputedStyle(parent.closest('thead')).position === 'absolute') continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const r of range.getClientRects())
      if (r.width > 1 && r.height > 1) boxes.push({l: r.left, r: r.right, t: r.top, b: r.bottom, node, text: node.data.trim().slice(0, 40)});
  }
  boxes.sort((a, b) => a.t - b.t);
  for (let i = 0; i < boxes.length; i++)
    for (let j = i + 1; j < boxes.length && boxes[j].t < boxes[i].b; j++) {
      const a = boxes[i], b = boxes[j];
      const w = Math.min(a.r, b.r) - Math.max(a.l, b.l), h = Math.min(a.b, b.b) - b.t;
      if (a.node !== b.node && w > 1 && h > 3) overlaps.push(`"${a.text}" and "${b.text}" at ${Math.round(b.l)},${Math.round(b.t + scrollY)}`);
    }
  const width = document.documentElement.clientWidth;
  for (const e of document.querySelectorAll('body *')) {
    if (e.closest('defs,thead') && getComputedStyle(e.closest('defs,thead')).position !== 'static') continue;
    const r = e.getBoundingClientRect();
    if (r.width > 0 && r.height > 0 && (r.left < -0.5 || r.right > width + 0.5))
      outside.push(`${e.tagName}.${e.getAttribute('class')} ${Math.round(r.left)} to ${Math.round(r.right)}: ${e.textContent.trim().slice(0, 40)}`);
  }
  if (document.documentElement.scrollWidth > width) outside.push(`the page is ${document.documentElement.scrollWidth} wide`);
  return {texts: boxes.length, overlaps, outside, height: Math.ceil(document.documentElement.getBoundingClientRect().height)};
})()"""


class Browser:
    """One page of one browser."""

    def __init__(self, program, folder):
        to_read, self.out = os.pipe()
        self.into, to_write = os.pipe()
        command = [
            program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
            "--hide-scrollbars", "--force-color-profile=srgb", "--font-render-hinting=none",
            "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder}", "--remote-debugging-pipe", "about:blank",
        ]  # fmt: skip

        def take_pipes():
            # the browser reads from 3 and writes to 4
            spare = [os.dup(to_read), os.dup(to_write)]
            high = [fd if fd > 4 else os.dup(fd) for fd in spare]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.process = subprocess.Popen(
            command, preexec_fn=take_pipes, close_fds=False, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "HOME": folder},
        )  # fmt: skip
        os.close(to_read)
        os.close(to_write)
        self.number, self.rest, self.session, self.events = 0, b"", None, []
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def read(self):
        while b"\0" not in self.rest:
            some = os.read(self.into, 1 << 20)
            if not some:
                raise SystemExit("the browser has gone")
            self.rest += some
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def do(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise SystemExit(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def wait(self, method):
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self.read())

    def evaluate(self, script):
        answer = self.do("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in answer:
            raise SystemExit(answer["exceptionDetails"])
        return answer["result"].get("value")

    def close(self):
        self.process.kill()
        self.process.wait()


def picture(browser, name, width, height, part):
    clip = {"x": 0, "y": 0, "width": width, "height": min(height, TALLEST), "scale": 1}
    if part:
        part, _, pixels = part.partition("+")
        box = browser.evaluate(
            f"(r => [r.left, r.top + scrollY, r.width, r.height])(document.querySelector({json.dumps(part)}).getBoundingClientRect())"
        )
        clip.update(x=max(box[0] - 8, 0), y=max(box[1] - 8, 0), width=min(box[2] + 16, width), height=int(pixels) if pixels else box[3] + 16)
    png = browser.do("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)["data"]
    pathlib.Path(name).write_bytes(base64.b64decode(png))


def look(browser, page, width, scheme, pictures, part):
    signal.alarm(PATIENCE)
    browser.events.clear()
    browser.do("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
    # paper is white, whatever the reader's screen is
    media, wanted = ("print", "dark") if scheme == "print" else ("screen", scheme)
    browser.do("Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": wanted}])
    browser.do("Page.navigate", url=pathlib.Path(page).resolve().as_uri())
    browser.wait("Page.loadEventFired")
    browser.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    seen = browser.evaluate(FINDINGS)
    asked = [e["params"]["request"]["url"] for e in browser.events if e.get("method") == "Network.requestWillBeSent"]
    asked = [url for url in asked if not url.startswith("file:")]
    said = [e["params"] for e in browser.events if e.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")]
    print(
        f"{pathlib.Path(page).name} {width} {scheme}: texts {seen['texts']}, overlaps {len(seen['overlaps'])}, outside {len(seen['outside'])},"
        f" requests {len(asked)}, messages {len(said)}"
    )
    for kind, all_of in (("overlap", seen["overlaps"]), ("outside", seen["outside"]), ("request", asked), ("message", said)):
        for one in all_of[:20]:
            print(f"  {kind}: {one}")
    if pictures and width in PICTURED:
        browser.evaluate("document.querySelectorAll('details').forEach(d => { d.open = false })")
        picture(browser, f"{pictures}-{width}-{scheme}.png", width, seen["height"], part)


def give_up(*_):
    sys.exit("the browser does not answer")


def main():
    signal.signal(signal.SIGALRM, give_up)
    options = dict(arg[2:].split("=", 1) for arg in sys.argv[1:] if arg.startswith("--"))
    program, *pages = [arg for arg in sys.argv[1:] if not arg.startswith("--")]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = Browser(program, folder)
        try:
            for domain in ("Page", "Network", "Log", "Runtime"):
                browser.do(f"{domain}.enable")
            for page in pages:
                for width, scheme in LOOKS:
                    look(browser, page, width, scheme, options.get("pictures"), options.get("part"))
        finally:
            browser.close()


main()
