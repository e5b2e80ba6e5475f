"""A connection that breaks at any byte."""

from __future__ import annotations

from collections.abc import Iterator

from tests.client_faults.answers import cut_at, cut_reply, whole_reply
from tests.client_faults.log import Log
from tests.client_faults.place import Place
from tests.client_faults.row import Check, Outcome, Row


def every_cut(log: Log, step: int = 1) -> Iterator[Row]:
    """One row for every ``step`` bytes, and each way in which a connection breaks."""
    for framing, then in (("chunked", "fin"), ("close", "fin"), ("chunked", "rst")):
        whole = whole_reply(log, framing)
        size = sum(map(len, whole.pieces())) - (0 if framing == "close" else 5)
        for at in range(0, size, step):
            yield cut_row(log, at, then=then, framing=framing)


def cut_row(log: Log, at: int, *, then: str, framing: str) -> Row:
    """A row whose first connection breaks after so many bytes."""
    passed = cut_reply(log, at, then=then, framing=framing).passed()
    last = log.whole_before(passed)
    ids: list[int | str | None] = [None] if last == log.last else [None, last or None]
    return Row(
        name=f"{framing} {then} at byte {at}",
        plan=(cut_at(at, then=then, framing=framing),),
        # With a RST the kernel may drop what the client has not read yet.
        ids=ids if then == "fin" else None,
        check=_asks_for_no_more_than(last) if then == "rst" else None,
    )


def _asks_for_no_more_than(last: int) -> Check:
    def check(place: Place, outcome: Outcome) -> str | None:
        numbers = [
            int((request.last_event_id or ":0").split(":")[1])
            for request in place.of("events")
        ]
        if len(numbers) > 2 or any(number > last for number in numbers):
            return f"asked for what follows {numbers}; it had {last} events at most"
        return None

    return check
