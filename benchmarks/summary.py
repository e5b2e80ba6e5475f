"""Makes tables and plots of the figures of ``benchmarks.all``.

    python -m benchmarks.summary

The tables replace the text between the two marks in ``docs/benchmarks.md``. The plots
go to ``docs/benchmarks/``.
"""

import json
import statistics
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.load import OURS, RIVALS
from benchmarks.report import SERVERS

RESULTS = Path(__file__).with_name("results")
_DOCS = Path(__file__).parent.parent / "docs"
_BEGIN, _END = "<!-- made by benchmarks.summary -->\n", "<!-- end -->\n"

_BOUNDS = ("uncoalesced", "bound")

Results: TypeAlias = Mapping[str, Any]


def _ratio(found: Mapping[str, Any]) -> str:
    ratio = statistics.median(found["ratios"])
    return f"{ratio:.0f}" if ratio >= 20 else f"{ratio:.2f}"


def _rates(*path: str) -> Callable[[Results], Mapping[str, str]]:
    """Return the ratios of one workload; for the hand-written pattern the rate."""

    def cells(on: Results) -> dict[str, str]:
        found: Any = on
        for key in path:
            found = found.get(key, {})
        told = {rival: _ratio(figures) for rival, figures in found.items()}
        if told:
            rate = statistics.median(found["hand-written"]["rates"])
            told["hand-written"] = f"1 ({rate:,.0f}/s)"
        return told

    return cells


def _each(workload: str, tell: Callable[[Mapping[str, float]], str]) -> Any:
    def cells(on: Results) -> dict[str, str]:
        return {rival: tell(found) for rival, found in on.get(workload, {}).items()}

    return cells


def _sustained(found: Mapping[str, float]) -> str:
    if found["late"] > 0.2 or found["published"] < 99:
        return f"no: {found['published']:.0f}/s, {found['late']:.0f} s late"
    return f"{found['cpu']:.0%}, {found['p50'] * 1e3:.0f}, {found['p99'] * 1e3:.0f} ms"


def _many(
    length: str, workload: str = "many"
) -> Callable[[Results], Mapping[str, str]]:
    """Return the CPU per event as a ratio to the hand-written pattern, and latency."""

    def cells(on: Results) -> dict[str, str]:
        return {
            rival: f"{statistics.median(found['cpu']) * 1e6:.1f} us, "
            f"× {statistics.median(found['ratios']):.2f}, {found['p99'] * 1e3:.0f} ms"
            for rival, found in on.get(workload, {}).get(length, {}).items()
        }

    return cells


_ROWS: dict[str, Callable[[Results], Mapping[str, str]]] = {
    "one stream, woken for each event": _rates("one_stream", "woken"),
    "… events of 400 bytes": _rates("one_stream", "woken_400"),
    "one stream, burst of 100,000": _rates("one_stream", "burst"),
    "… of 400 bytes": _rates("one_stream", "burst_400"),
    "fan-out to 100, saturating": _rates("fan_out", "100"),
    "fan-out to 1,000, saturating": _rates("fan_out", "1000"),
    "1,000 viewers, 100 events/s: CPU, p50, p99": _each("paced", _sustained),
    "end → the viewer sees it, median": _each(
        "end", lambda found: f"{found['median'] * 1e3:.2f} ms"
    ),
    "5,000 idle viewers: memory each": _each(
        "idle", lambda found: f"{found['memory'] / 1024:.1f} KiB"
    ),
    "… CPU": _each("idle", lambda found: f"{found['cpu']:.1%}"),
    "1,000 executions, 50 events/s each, 4 s: CPU, p99": _many("4"),
    "… 4 s, events of 400 bytes": _many("4", "many_400"),
    "… 16 s": _many("16", "many_16"),
    "5,000 idle executions with a viewer each: memory each": _each(
        "idle_executions", lambda found: f"{found['memory'] / 1024:.1f} KiB"
    ),
    "… their CPU": _each("idle_executions", lambda found: f"{found['cpu']:.1%}"),
}


def tables(python: str, results: Results) -> Iterator[str]:
    """Return a table for each server, of one Python."""
    for kind in (kind for kind in SERVERS if kind in results):
        on = results[kind]
        yield f"### {kind}, Python {python}\n\n"
        yield f"{' '.join(on['machine'].split())}\n\n"
        rows = {name: cells(on) for name, cells in _ROWS.items()}
        columns = [
            rival
            for rival in (*RIVALS, *OURS, *_BOUNDS)
            if any(rival in cells for cells in rows.values())
        ]
        yield f"| workload | {' | '.join(map(_heading, columns))} |\n"
        yield f"|{'---|' * (len(columns) + 1)}\n"
        for name, cells in rows.items():
            if cells:
                line = " | ".join(cells.get(column, "") for column in columns)
                yield f"| {name} | {line} |\n"
        yield "\n"
    if "growth" in results:
        yield from growth_table(python, results["growth"])


def _heading(rival: str) -> str:
    return f"**{rival}**" if rival in OURS else rival


def growth_table(python: str, growth: Results) -> Iterator[str]:
    """Return the lines about growth and the speed of replays."""
    yield f"### Growth, Python {python}\n\n"
    for name, what in (
        ("viewers", "viewers: us of a publish, of a delivery"),
        ("history", "events held: us of an append"),
        ("stored_history", "events stored: us of a publish and its delivery"),
        ("executions", "open executions: us of a publish and its delivery, KiB each"),
    ):
        points = (
            f"{point[0]:,}: {', '.join(map(_short, point[1:]))}"
            for point in growth[name]
        )
        yield f"- {what}: {'; '.join(points)}\n"
    speeds = (f"{name} {speed:,.0f}" for name, speed in growth["replay"].items())
    yield f"- replay, MB/s: {', '.join(speeds)}\n"
    yield (
        f"- a retained event: its frame ({growth['frame_bytes']:.0f} bytes here) and "
        f"{growth['event_bytes']:.0f} bytes\n\n"
    )


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def plots(python: str, results: Results) -> Iterator[str]:
    """Draw the plots, and yield the lines of the page that show them."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.fonttype"] = "none"
    mpl.rcParams["svg.hashsalt"] = "asgi-events"  # the same plot, the same file
    for kind in (kind for kind in SERVERS if kind in results):
        yield _draw(
            _bars, f"{python}-{kind}", f"{kind}, Python {python}", results[kind]
        )
    if "growth" in results:
        title = f"Growth, Python {python}"
        yield _draw(_curves, f"{python}-growth", title, results["growth"])


def _draw(fill: Any, name: str, title: str, found: Results) -> str:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(12, 3.6))
    fill(axes, found)
    figure.suptitle(title)
    figure.tight_layout()
    (_DOCS / "benchmarks").mkdir(exist_ok=True)
    path = _DOCS / "benchmarks" / f"{name}.svg"
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    text = path.read_text().splitlines()
    path.write_text("\n".join(line.rstrip() for line in text) + "\n")
    return f"![{title}](benchmarks/{name}.svg)\n"


def _bars(axes: Any, on: Results) -> None:
    shown = [
        ("one stream, woken: ×", on.get("one_stream", {}).get("woken")),
        ("one stream, burst: ×", on.get("one_stream", {}).get("burst")),
        ("fan-out to 100: ×", on.get("fan_out", {}).get("100")),
    ]
    for axis, (title, found) in zip(axes, shown, strict=True):
        if found is None:
            axis.set_visible(False)
            continue
        rivals = [rival for rival in (*OURS[::-1], *RIVALS[::-1]) if rival in found]
        values = [_times(found[rival]) for rival in rivals]
        colors = ["#2563eb" if rival in OURS else "#9ca3af" for rival in rivals]
        axis.barh(rivals, values, color=colors)
        axis.set_title(title, fontsize=10)
        if max(values) > 20 * min(values):
            axis.set_xscale("log")
            axis.minorticks_off()  # their labels would cover each other


def _times(found: Mapping[str, Any]) -> float:
    return statistics.median(found["ratios"])


def _curves(axes: Any, growth: Results) -> None:
    shown = (("viewers", "viewers"), ("history", "events held"), ("executions", "open"))
    for axis, (name, label) in zip(axes, shown, strict=True):
        points = growth[name]
        axis.plot([p[0] for p in points], [p[1] for p in points], marker="o")
        axis.set_xscale("log")
        axis.set_xlabel(label)
        axis.set_ylabel("us an append" if name == "history" else "us a publish")
        if name == "viewers":
            axis.set_yscale("log")
        else:
            axis.set_ylim(bottom=0)


def main() -> None:
    made = []
    for path in sorted(RESULTS.glob("*.json")):
        results = json.loads(path.read_text())
        made += [*tables(path.stem, results), *plots(path.stem, results), "\n"]
    page = _DOCS / "benchmarks.md"
    before, _, rest = page.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    page.write_text("".join([before, _BEGIN, "\n", *made, _END, after]))


if __name__ == "__main__":
    main()
