"""Which rooms an event and a reconnect enter, as ``docs/architecture.md`` has it."""

import re
import sys
from collections.abc import Iterable

import pytest

import asgi_events
from tests import house, walk


@pytest.mark.skipif(asgi_events.compiled, reason="it does not see compiled functions")
async def test_enters_the_rooms_and_files_that_the_architecture_shows() -> None:
    page = (house.ROOT / "docs/architecture.md").read_text()
    text = page.partition("## What a profiler sees")[2]

    for name, found in (await walk.all_walks()).items():
        headline, lines = text.partition(f"{name}: ")[2].split("\n\n")[:2]
        assert f"{name}: {headline}" == walk.headline(name, found)
        assert files(lines.splitlines()) == files(found.lines())


async def test_leaves_no_profiler_behind() -> None:
    before = sys.getprofile()

    await walk.walks()

    assert sys.getprofile() is before


def files(lines: Iterable[str]) -> set[tuple[str, str]]:
    """The rooms and their files. Which files of a store answer, its threads decide."""
    shown = (re.split(" +", line.strip())[:2] for line in lines)
    return {(room, "" if room == "stores" else file) for room, file in shown}
