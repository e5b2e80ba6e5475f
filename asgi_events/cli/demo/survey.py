"""The demo's execution: a survey of a real source tree.

Tools list and measure real files, several at a time. Then a report is streamed word by
word. The model that writes it is a fake, which fails at first so that people see a call
that is tried again. Nothing outside the root is read, wherever links point.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from asgi_events.actors.actor import ActorFunction, agent, llm, tool
from asgi_events.actors.state import ExecutionState, current_state
from asgi_events.events import EventType, ExecutionEvent, ExecutionStatus
from asgi_events.memory_cache import MemoryCache

MAX_FILES = 1000
AT_ONCE = 4

_MEASURING = 0.8  # the share of the time for measuring; the rest is for the report
_LONGEST = 1.0  # seconds for one file, so that few files take less time
_LONGEST_WORD = 0.25  # seconds for one word
_DELAY = 0.3  # the share of the time for the report until its second attempt
_LONGEST_DELAY = 1.5  # seconds

_SKIPPED = {"__pycache__", "build", "dist", "node_modules"}
_BLOCK = 64 * 1024


class Wanted(BaseModel):
    """What to survey.

    Attributes:
        pattern: The names of the files, such as ``*.py``.
        seconds: About how long the survey takes, so that people can watch it. A survey
            of few files takes less.
    """

    pattern: Annotated[str, Field(min_length=1, max_length=100)] = "*"
    seconds: Annotated[float, Field(ge=0, le=120)] = 25.0


class Found(BaseModel):
    """A file, and when it was last modified."""

    path: Path
    modified: float


class Measured(BaseModel):
    """One file; ``lines`` is None if it is not text."""

    path: str
    bytes: int
    lines: int | None


class Language(BaseModel):
    """All text files of one suffix."""

    files: int = 0
    lines: int = 0


class Totals(BaseModel):
    """All files."""

    files: int
    lines: int
    bytes: int
    languages: dict[str, Language]


def make_survey(root: Path) -> ActorFunction[[Wanted], Totals]:
    """Return the ``survey`` actor for the tree below ``root``."""
    root = root.resolve(strict=True)

    @tool(show=("input",))
    def list_files(pattern: str) -> list[Found]:
        """Find the files whose names match."""
        return list(_find(root, pattern))

    # The time of the last change is in the key, so a changed file is measured again.
    @tool(
        detail=lambda found: found.path.relative_to(root).as_posix(),
        show=("output",),
        cache_backend=MemoryCache(maxsize=10 * MAX_FILES),
    )
    def measure(found: Found) -> Measured:
        """Count the bytes and lines of a file."""
        size, lines = _count(found.path)
        name = found.path.relative_to(root).as_posix()
        return Measured(path=name, bytes=size, lines=lines)

    @llm
    async def report(measured: list[Measured], seconds: float) -> AsyncIterator[str]:
        """Write about the files that were measured."""
        state = current_state()
        thoughts, words = _thoughts(measured), _words(root.name, measured)
        delay = min(_DELAY * seconds, _LONGEST_DELAY)
        pace = (seconds - delay) / (2 * len(thoughts) + len(words))
        pace = min(pace, _LONGEST_WORD)
        for attempt in (1, 2):
            for word in thoughts:
                await state.reasoning(word)
                await asyncio.sleep(pace)
            if attempt == 1:
                await _say_that_it_is_tried_again(state, attempt, delay)
        for word in words:
            yield word
            await asyncio.sleep(pace)
        state.usage(input_tokens=len(measured), output_tokens=len(words))

    @agent(show=("input",))
    async def survey(wanted: Wanted) -> Totals:
        """Survey a source tree: list its files, measure each, and report."""
        state = current_state()
        files = await list_files(wanted.pattern)
        await state.log(f"{len(files)} files match {wanted.pattern!r}")
        if len(files) > MAX_FILES:
            await state.log(f"Only the first {MAX_FILES} are read", level="warning")
            files = files[:MAX_FILES]
        steps = len(files) + 1  # the report is one
        measured = await _measure_all(files, measure, _MEASURING * wanted.seconds)
        totals = _totals(measured)
        lines = {suffix: each.lines for suffix, each in totals.languages.items()}
        await state.custom("languages", lines)
        await state.progress(len(files), steps, "Writing the report")
        await report(measured, (1 - _MEASURING) * wanted.seconds)
        await state.progress(steps, steps, "Done")
        return totals

    return survey


async def _say_that_it_is_tried_again(
    state: ExecutionState, attempt: int, delay: float
) -> None:
    """Publish what ``retry=`` publishes; the demo has no tenacity to depend on."""
    await state.publish(
        ExecutionEvent[str](
            event_type=EventType.LLM_CALL,
            actor="report",
            address=state.address,
            execution_status=ExecutionStatus.RETRYING,
            message="The model is overloaded",
            attempt=attempt,
            delay=delay,
        )
    )
    await asyncio.sleep(delay)


async def _measure_all(
    files: list[Found], measure: Callable[[Found], Awaitable[Measured]], seconds: float
) -> list[Measured]:
    """Measure the files, several at a time, and publish the progress.

    Args:
        files: The files.
        measure: Measures one file.
        seconds: About how long it takes; less for few files.
    """
    state = current_state()
    steps = len(files) + 1
    pace = min(seconds * AT_ONCE / steps, _LONGEST)
    free = asyncio.Semaphore(AT_ONCE)
    done = 0
    measured: list[Measured] = []

    async def measure_one(found: Found) -> None:
        nonlocal done
        async with free:
            await asyncio.sleep(pace * random.uniform(0.5, 1.5))
            try:
                measured.append(await measure(found))
            except OSError as error:
                await state.log(
                    f"{found.path.name} is left out: {error.strerror}",
                    level="warning",
                )
            done += 1
            await state.progress(done, steps, "Measuring files")

    await state.progress(0, steps, "Measuring files")
    async with asyncio.TaskGroup() as group:
        for found in files:
            group.create_task(measure_one(found))
    return measured


def _find(root: Path, pattern: str) -> Iterator[Found]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if not _is_skipped(f))
        for name in sorted(names):
            path = Path(folder, name)
            if fnmatch(name, pattern) and _is_below(path, root):
                yield Found(path=path, modified=path.stat().st_mtime)


def _count(path: Path) -> tuple[int, int | None]:
    """Return the bytes and lines of a file; None for the lines if it is not text."""
    size = lines = 0
    is_text = True
    last = b"\n"
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            size += len(block)
            lines += block.count(b"\n")
            is_text = is_text and b"\0" not in block
            last = block[-1:]
    lines += last != b"\n"
    return size, lines if is_text else None


def _is_skipped(folder: str) -> bool:
    return folder.startswith(".") or folder in _SKIPPED


def _is_below(path: Path, root: Path) -> bool:
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError):  # a link to nothing, or a loop of links
        return False
    return real.is_relative_to(root) and real.is_file()


def _totals(measured: Iterable[Measured]) -> Totals:
    files = list(measured)
    count: Counter[str] = Counter()
    lines: Counter[str] = Counter()
    for file in files:
        if file.lines is not None:
            suffix = Path(file.path).suffix or "(none)"
            count[suffix] += 1
            lines[suffix] += file.lines
    return Totals(
        files=len(files),
        lines=sum(lines.values()),
        bytes=sum(file.bytes for file in files),
        languages={
            suffix: Language(files=count[suffix], lines=number)
            for suffix, number in lines.most_common()
        },
    )


def _thoughts(measured: list[Measured]) -> list[str]:
    text = (
        f"I have {len(measured)} files. First I say how many there are, then which "
        "languages have the most lines, and at last which file is the longest."
    )
    return [f"{word} " for word in text.split(" ")]


def _words(name: str, measured: list[Measured]) -> list[str]:
    totals = _totals(measured)
    text = [f"In {name} there are {totals.files} files of {totals.bytes:,} bytes."]
    for suffix, language in list(totals.languages.items())[:3]:
        text.append(
            f"{language.files} {suffix} files have {language.lines:,} lines, "
            f"{language.lines / language.files:.0f} each."
        )
    longest = max(measured, key=lambda file: file.lines or 0, default=None)
    if longest is not None and longest.lines:
        text.append(f"The longest is {longest.path} with {longest.lines:,} lines.")
    return [f"{word} " for word in "\n".join(text).split(" ")]
