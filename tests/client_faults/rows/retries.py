"""Retry-After."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.client_faults.answers import busy_until, part, refuse, said
from tests.client_faults.log import Log
from tests.client_faults.row import Range, Row
from tests.client_faults.rows.delays import AT_ONCE, SECOND, first_waits


def rows() -> Iterator[Row]:
    def row(name: str, value: str, wait: Range, status: int = 503) -> Row:
        return Row(
            name=f"{status} with Retry-After: {name}",
            log=Log.without_retry,
            plan=(refuse(status, headers={"retry-after": value}),),
            ids=[None, None],
            waits=[wait],
        )

    yield row("7", "7", (7, 7))
    yield row("0", "0", (0, 1))
    yield row("-7", "-7", (0, 1))
    yield row("7", "7", (7, 7), status=429)
    yield row("an hour", "3600", (60, 60))
    yield row("a date that has passed", "Sun, 06 Nov 1994 08:49:37 GMT", (0, 1))
    for value in ("soon", "٣"):
        yield row(repr(value), value, SECOND)
    for name, seconds, wait in (
        ("a date", 40, (30, 40)),
        ("a date of next year", 366 * 86400, (60, 60)),
    ):
        yield Row(
            name=f"503 with Retry-After: {name}",
            log=Log.without_retry,
            plan=(busy_until(seconds),),
            ids=[None, None],
            waits=[wait],
        )
    yield Row(
        name="503 with Retry-After in the middle, then without",
        plan=(
            part(4, then="fin"),
            refuse(503, headers={"retry-after": "9"}),
            refuse(503),
        ),
        ids=[None, 4, 4, 4],
        waits=[AT_ONCE, (9, 9), (0.002, 0.004)],
    )
    yield Row(
        name="a retry of a day",
        log=lambda log: replace(log, retry=86_400_000),
        plan=(part(4, then="fin"), refuse(502)),
        ids=[None, 4, 4],
        waits=[(7.5, 15), (7.5, 15)],
    )
    yield Row(
        name="another retry in the middle",
        plan=(
            said(lambda log: log.frames(0, 3) + b"retry: 6000\n" + log.frame(4)),
            refuse(502),
        ),
        ids=[None, 4, 4],
        waits=[*first_waits(6, 2)],
    )
    yield Row(
        name="a retry that is no number",
        log=Log.without_retry,
        plan=(said(lambda log: b"retry: soon\nretry: -1\n" + log.frames(0, 4)),),
        ids=[None, 4],
        waits=[SECOND],
    )
