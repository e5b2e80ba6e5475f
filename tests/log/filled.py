"""Logs with frames in them."""

import asyncio

from asgi_events.log.log import Log


def data(number: int, size: int = 0) -> bytes:
    return b"%d%b" % (number, b"." * size)


def block(number: int, size: int = 0) -> bytes:
    return b"data: %b\n\n" % data(number, size)


def filled(log: Log, count: int, size: int = 0) -> Log:
    for number in range(log.last + 1, log.last + count + 1):
        log.append(data(number, size))
    return log


async def turn() -> None:
    """One turn of the loop: what was called soon has been called."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def held(log: Log) -> list[bytes]:
    return log.since(log.first - 1)
