"""Tabs of a Chromium that hides all but the one in front, as it does for people.

Playwright keeps every page visible. Here the tabs are driven by the protocol of the
developer tools itself, so a tab is hidden while another one is in front: it draws no
frames, and its timers fire once a second at most. A frozen one runs nothing at all.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

from websockets.asyncio.client import ClientConnection, connect

from tests.browsers import ARGUMENTS, CHROMIUM
from tests.servers import TIMEOUT, require

_LISTENS = re.compile(rb"listening on (ws://\S+)")


class Browser:
    """A connection to the developer tools of a browser."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._reads = asyncio.create_task(self._read())

    async def send(self, method: str, session: str = "", **parameters: Any) -> Any:
        """Return what a command returns.

        Raises:
            RuntimeError: It has failed.
        """
        id = len(self._answers) + 1
        self._answers[id] = asyncio.get_running_loop().create_future()
        command = {"id": id, "method": method, "params": parameters}
        if session:
            command["sessionId"] = session
        await self._socket.send(json.dumps(command))
        async with asyncio.timeout(TIMEOUT):
            answer = await self._answers[id]
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    async def open(self, url: str) -> Tab:
        """Open a tab, which is in front then."""
        target = (await self.send("Target.createTarget", url=url))["targetId"]
        attached = await self.send(
            "Target.attachToTarget", targetId=target, flatten=True
        )
        return Tab(self, target, attached["sessionId"])

    async def close(self) -> None:
        await self._socket.close()
        await self._reads

    async def _read(self) -> None:
        async for message in self._socket:
            answer = json.loads(message)
            if "id" in answer:
                self._answers[answer["id"]].set_result(answer)


class Tab:
    """One tab."""

    def __init__(self, browser: Browser, target: str, session: str) -> None:
        self._browser = browser
        self._target = target
        self._session = session

    async def evaluate(self, code: str) -> Any:
        """Return the value of an expression."""
        found = await self._browser.send(
            "Runtime.evaluate", self._session, expression=code, returnByValue=True
        )
        if "exceptionDetails" in found:
            raise RuntimeError(f"{code}: {found['exceptionDetails']}")
        return found["result"].get("value")

    async def until(self, code: str, *, within: float = TIMEOUT) -> None:
        """Wait until an expression is true; asking does not wake a hidden tab up."""
        async with asyncio.timeout(within):
            while not await self.evaluate(code):  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def bring_to_front(self) -> None:
        await self._browser.send("Target.activateTarget", targetId=self._target)
        await self.until("document.visibilityState === 'visible'")

    async def become(self, state: Literal["frozen", "active"]) -> None:
        await self._browser.send(
            "Page.setWebLifecycleState", self._session, state=state
        )


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """Yield a browser. Without Chromium the test is skipped; in CI it fails."""
    program = shutil.which(CHROMIUM)
    require(program, f"{CHROMIUM} is not installed")
    assert program is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as data:
        process = await asyncio.create_subprocess_exec(
            *(program, "--headless", "--remote-debugging-port=0"),
            *(f"--user-data-dir={data}", *ARGUMENTS, "about:blank"),
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with connect(await _address(process), max_size=None) as socket:
                browser = Browser(socket)
                yield browser
                await browser.close()
        finally:
            process.kill()
            await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    async with asyncio.timeout(3 * TIMEOUT):
        async for line in process.stderr:
            if found := _LISTENS.search(line):
                return found[1].decode()
    raise RuntimeError("Chromium did not start.")
