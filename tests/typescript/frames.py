"""How long the frames of a page with ``useExecution`` are, and what a hidden tab does.

    python -m tests.typescript.frames [--rate 5000] [--seconds 10] [--hidden 60]

It publishes so many events a second, first to a page that is seen, then to one that
another tab hides. Timings are no tests: this prints them.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

import httpx

from tests.typescript.pages import bundle, site_of
from tests.typescript.tabs import Browser, Tab, browser

WATCH = """
window.gaps = []; window.long = []; window.began = performance.now();
new PerformanceObserver((list) => {
    for (const {duration} of list.getEntries()) long.push(duration);
}).observe({type: "longtask"});
let last = performance.now();
requestAnimationFrame(function frame(now) {
    gaps.push(now - last); last = now; requestAnimationFrame(frame);
});
"""
LOOK = """({
    gaps: gaps.slice(1).sort((a, b) => a - b), long, drawn: drawn.a,
    count: seen.a.count, frames, seconds: (performance.now() - began) / 1000,
    heap: performance.memory.usedJSHeapSize / 2**20,
})"""


async def open_page(chromium: Browser, http: httpx.AsyncClient, given: object) -> Tab:
    """Open a page that watches a new execution."""
    id = (await http.post("/events/pour", json=given)).json()["id"]
    tab = await chromium.open(f"{http.base_url}/react19?plain")
    await tab.until("!!window.show")
    await tab.evaluate(f"{WATCH} show([{{name: 'a', id: '{id}'}}])")
    await tab.until("window.seen.a?.count > 0")
    return tab


async def seen(chromium: Browser, http: httpx.AsyncClient, rate: int, s: float) -> None:
    """Print the frames of a page in front."""
    given = {"count": int(rate * s), "rate": rate}
    tab = await open_page(chromium, http, given)
    await tab.until("seen.a.connection === 'ended'", within=4 * s + 30)
    found = await tab.evaluate(LOOK)
    gaps = found["gaps"]
    middle, high, most = gaps[len(gaps) // 2], gaps[-len(gaps) // 100], gaps[-1]
    print(
        f"in front: {found['count']:,} events in {found['seconds']:.1f} s, "
        f"drawn {found['drawn']} times in {found['frames']} frames. From frame to "
        f"frame: {middle:.1f} ms, {high:.1f} ms (99 %), {most:.1f} ms (all). Tasks "
        f"over 50 ms: {[round(each) for each in found['long']]}"
    )


async def hidden(
    chromium: Browser, http: httpx.AsyncClient, rate: int, s: float
) -> None:
    """Print what a tab does that another one hides."""
    tab = await open_page(chromium, http, {"count": int(rate * s), "rate": rate})
    other = await chromium.open("about:blank")
    await tab.until("document.hidden")
    before = await tab.evaluate(LOOK)
    heaps = [before["heap"]]
    while (await tab.evaluate("seen.a.connection")) != "ended":
        await asyncio.sleep(max(s / 10, 0.5))
        heaps.append((await tab.evaluate(LOOK))["heap"])
    after = await tab.evaluate(LOOK)
    await tab.bring_to_front()
    await tab.until("gaps.length > 3")
    shown = await tab.evaluate(LOOK)
    await other.bring_to_front()
    print(
        f"hidden: {after['count']:,} events in {after['seconds']:.1f} s, drawn "
        f"{after['drawn'] - before['drawn']} times in "
        f"{after['frames'] - before['frames']} frames; heap in MiB: "
        f"{' '.join(f'{heap:.0f}' for heap in heaps)}; tasks over 50 ms when it is "
        f"shown: {[round(each) for each in shown['long'][len(after['long']) :]]}"
    )


async def main(rate: int, seconds: float, hides: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bundle("react19", Path(folder), "--minify", mode="production")
        with site_of(Path(folder)) as server:
            async with (
                browser() as chromium,
                httpx.AsyncClient(base_url=server.url, trust_env=False) as http,
            ):
                await seen(chromium, http, rate, seconds)
                await hidden(chromium, http, rate, hides)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=5000, help="events a second")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--hidden", type=float, default=60.0, help="seconds")
    options = parser.parse_args()
    asyncio.run(main(options.rate, options.seconds, options.hidden))
