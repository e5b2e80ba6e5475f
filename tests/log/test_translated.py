"""Viewers in another format than the native one, and the words that they share."""

import asyncio
from random import Random

import pytest

from asgi_events.aio.waiter import Waiter
from asgi_events.log import translation
from asgi_events.log.log import Log
from asgi_events.log.source import BrokenOff, Last
from asgi_events.log.stored import StoredLog
from asgi_events.log.translated import TranslatedCursor
from asgi_events.stores import Page
from asgi_events.stores.memory import MemoryStore
from tests.log.blocks import END, Blocks, Client, cursor, translations, words
from tests.log.recorded import Recorded, data, drain, ended, filled, frame, read
from tests.log.test_pages import reaped


def written(log: Log, begin: int = 1) -> bytes:
    """All that a viewer is to get, before the end."""
    return b"".join(words(log.since(begin - 1), begin))


# Resuming


def test_gives_each_event_in_its_words() -> None:
    log = ended(filled(Log("x"), 50))

    assert drain(cursor(log)) == written(log) + END


def test_gives_its_last_words_with_the_end() -> None:
    viewer = cursor(ended(filled(Log("x"), 50)))

    chunks = []
    while chunk := viewer.take(limit=1):
        chunks.append(chunk)

    assert chunks[-1].endswith(END) and chunks[-1] != END
    assert [isinstance(chunk, Last) for chunk in chunks[:-1]] == [False] * (
        len(chunks) - 1
    )
    assert isinstance(chunks[-1], Last)


def test_gives_its_last_words_before_it_breaks_off() -> None:
    class Wordless(Blocks):
        def end(self, status: str | None) -> bytes | None:
            return None

    log = ended(filled(Log("x"), 50))
    viewer = TranslatedCursor(log, Wordless, translations())

    chunk = viewer.take()

    assert chunk == written(log)
    assert not isinstance(chunk, Last)
    with pytest.raises(BrokenOff):
        viewer.take()


def test_continues_after_any_id_it_has_given() -> None:
    log = ended(filled(Log("x"), 50))
    whole = written(log)
    blocks = whole.split(b"\n\n")[:-1]
    counts = {word.count(b"\n\n") for word in words(log.since(0))}
    assert counts == {0, 1, 2, 3, 4}

    for index, block in enumerate(blocks):
        last_event_id = block.rpartition(b"id: ")[2].decode()
        rest = b"".join(block + b"\n\n" for block in blocks[index + 1 :])
        for shared in (translations(), sharing(log)):
            body = drain(cursor(log, shared, last_event_id))
            assert body == rest + END, last_event_id


def sharing(log: Log) -> translation.Translations:
    """Translations of which somebody else has made all."""
    shared = translations()
    drain(other := cursor(log, shared))
    shared.kept = other  # type: ignore[attr-defined]
    return shared


@pytest.mark.parametrize("blocks", range(1, 7))
def test_goes_on_with_the_next_event_when_one_has_fewer_blocks(blocks: int) -> None:
    log = ended(filled(Log("x"), 20))
    made = words(log.since(0))

    body = drain(cursor(log, last_event_id=f"x:7.{blocks}"))

    dropped = made[7].split(b"\n\n")[blocks:]
    assert body == b"\n\n".join(dropped) + b"".join(made[8:]) + END


def test_waits_for_the_event_of_which_its_client_has_some_blocks() -> None:
    log = filled(Log("x"), 20)
    viewer = cursor(log, last_event_id="x:20.1")
    assert viewer.take() == b""

    ended(filled(log, 1))

    made = words(log.since(0))
    assert made[20].count(b"\n\n") > 1
    assert drain(viewer) == made[20].partition(b"\n\n")[2] + made[21] + END


@pytest.mark.parametrize(
    ("last_event_id", "reason"),
    [
        ("x:21", b"future"),
        ("x:21.1", b"future"),
        ("y:3", b"foreign"),
        ("y:3.1", b"foreign"),
        ("x:3.x", b"malformed"),
    ],
)
def test_resets_a_client_with_an_absurd_id_before_anything_else(
    last_event_id: str, reason: bytes
) -> None:
    log = ended(filled(Log("x"), 19))

    body = drain(cursor(log, last_event_id=last_event_id))

    assert body == b"data: reset %b 1\n\n" % reason + written(log) + END


class Speechless(Blocks):
    """It cannot say that what its client has is void."""

    def reset(self, reason: str, first: int) -> None:
        return None


def test_breaks_off_at_once_where_there_is_no_word_for_a_reset() -> None:
    log = ended(filled(Log("x"), 19))
    viewer = TranslatedCursor(log, Speechless, translations(), last_event_id="y:3")

    with pytest.raises(BrokenOff):
        viewer.take()


def test_says_retry_before_its_first_word() -> None:
    log = ended(filled(Log("x"), 19))
    viewer = TranslatedCursor(log, Blocks, translations(), retry=5)

    assert drain(viewer) == b"retry: 5\n" + written(log) + END


def test_says_retry_before_its_first_word_though_the_first_event_has_none() -> None:
    log = ended(filled(Log("x"), 19))
    made = words(log.since(0))
    silent = made.index(b"")
    viewer = TranslatedCursor(
        log, Blocks, translations(), last_event_id=f"x:{silent}", retry=5
    )

    chunks = [viewer.take(1), viewer.take(1)]

    rest = [word for word in made[silent:] if word]
    assert chunks == [b"retry: 5\n" + rest[0], rest[1]]


@pytest.mark.parametrize(
    ("last_event_id", "lost"),
    [
        ("x:9.1", b"data: reset future 1\n\n"),
        ("x:9.1:lost", b""),
        ("x:10:lost", b""),
        ("x:8.1", b""),
        ("x:8.1:lost", b"data: reset future 1\n\n"),
    ],
)
def test_tells_a_block_of_the_lost_event_from_one_of_another_event_of_its_number(
    last_event_id: str, lost: bytes
) -> None:
    log = filled(StoredLog("x"), 9)
    log.commit(9)
    log.extend([b"data: lost\nid: x:10:lost\n\n"], end="lost")

    body = drain(cursor(log, last_event_id=last_event_id))

    assert body.startswith(lost)
    assert (b"reset" in body) is bool(lost)


# Frames that are gone


def trimmed_log() -> Log:
    log = Log("x", keeps="newest", max_events=20)
    filled(log, 50)
    assert 1 < log.first <= 40
    return log


@pytest.mark.parametrize("last_event_id", [None, "x:0", "x:5", "x:5.1"])
def test_tells_its_format_first_that_the_first_events_are_gone(
    last_event_id: str | None,
) -> None:
    log = trimmed_log()

    body = drain(cursor(log, last_event_id=last_event_id))

    reset = b"data: reset trimmed %d\n\n" % log.first
    assert body == reset + written(log, log.first)


def test_does_not_tell_its_client_of_the_loss_of_what_it_has() -> None:
    log = trimmed_log()

    body = drain(cursor(log, last_event_id="x:45.1"))

    made = words(log.since(log.first - 1), log.first)[45 + 1 - log.first :]
    assert body == b"\n\n".join(made[0].split(b"\n\n")[1:]) + b"".join(made[1:])


def test_does_not_share_with_a_viewer_who_had_more_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(translation, "_LEAST", 0)
    log, shared = Log("x", keeps="newest", max_events=20), translations()
    early = cursor(log, shared)
    for _ in range(50):
        filled(log, 1)
        drain(early)
    first = log.first
    assert min(shared.values(), key=id).first > 1 < first

    late, twin = cursor(log, shared), cursor(log, shared)
    bodies = [drain(late), drain(twin)]

    reset = b"data: reset trimmed %d\n\n" % first
    assert bodies == [reset + written(log, first)] * 2
    filled(log, 1)
    frames = [frame(number) for number in range(1, 52)]
    assert early.take() == words(frames)[-1]
    assert late.take() == words(frames[first - 1 :], first)[-1]


def test_goes_on_from_the_shared_words_though_the_log_is_trimmed() -> None:
    log, shared = Log("x", keeps="newest", max_events=20), translations()
    early = cursor(log, shared)
    for _ in range(50):
        filled(log, 1)
        drain(early)
    made = words([frame(number) for number in range(1, 51)])

    assert drain(cursor(log, shared, "x:3")) == b"".join(made[3:])
    assert drain(cursor(log, shared)) == b"".join(made)


def test_breaks_off_when_it_has_fallen_behind_what_is_held() -> None:
    log = Log("x", keeps="newest", max_events=20)
    viewer = cursor(log)
    filled(log, 5)
    drain(viewer)

    filled(log, 50)

    with pytest.raises(BrokenOff):
        viewer.take()
    assert viewer.dismissed


# Another end than was shown


async def test_breaks_off_when_its_client_has_what_the_store_has_lost() -> None:
    recorded, shared = Recorded(held=40), translations()
    await recorded.write(20)
    ahead, resumed, partly, behind = (
        cursor(recorded.log, shared, last_event_id)
        for last_event_id in (None, "x:12", "x:10.1", "x:9")
    )
    drain(ahead)
    behind.take(1)
    assert behind.position < 11
    first = words(recorded.log.since(0))[: behind.position][9:]

    lost = b"data: lost\nid: x:11:lost\n\n"
    recorded.log.fork(11, end="lost", frames=[frame(n) for n in range(1, 11)] + [lost])

    for viewer in (ahead, resumed, partly):
        with pytest.raises(BrokenOff):
            viewer.take()
    made = words(recorded.log.since(0))
    assert b"".join(first) + drain(behind) == b"".join(made[9:]) + END
    assert drain(cursor(recorded.log, shared)) == b"".join(made) + END


async def test_resumes_with_a_reset_after_that() -> None:
    recorded = Recorded(held=4)
    await recorded.write(20, end="completed")
    client = Client(recorded, translations())
    client.blocks = [b"data: 12\nid: x:12\n\n"]
    await reaped(recorded.store, 10)

    body = await client.finish()

    page = await recorded.store.read("x", 0, 65536)
    assert page is not None
    reset = b"data: reset future 1\n\n"
    whole = reset + b"".join(words(list(page.frames))) + END
    assert body == b"data: 12\nid: x:12\n\n" + whole
    assert client.cuts == 2


async def test_tells_one_that_events_are_not_kept_and_leaves_others_alone() -> None:
    recorded, shared = Recorded(held=4), translations()
    await recorded.write(20)
    page = await recorded.store.read("x", 0, 1 << 30)
    assert page is not None
    made = words(list(page.frames))

    async def read_nothing(after: int, limit: int) -> Page | None:
        return None if after else await recorded.store.read("x", 0, 100)

    hopeless, other = (
        TranslatedCursor(
            recorded.log, Blocks, shared, read_page=read_page, patience=0.1
        )
        for read_page in (read_nothing, recorded.read_page)
    )

    body = await read(hopeless)

    begun = body.removesuffix(END)
    assert len(shared) == 1 and body != begun and b'"lost"' not in body
    assert begun.startswith(made[0])
    assert await read(other, until=made[-1] or made[-2]) == b"".join(made)


# Sharing


def test_shares_its_words_with_a_thousand_others() -> None:
    log, shared = Log("x"), translations()
    viewers = [cursor(log, shared) for _ in range(1000)]
    before = Blocks.translated

    for count in (1, 1, 10, 100):
        filled(log, count)
        chunks = [viewer.take() for viewer in viewers]
        assert all(chunk is chunks[0] for chunk in chunks)

    assert Blocks.translated - before == log.last
    assert len(shared) == 1


def test_translates_at_most_a_chunk_at_once() -> None:
    log = Log("x")
    for number in range(1, 501):
        log.append(data(number, 1000))
    before = Blocks.translated
    viewer = cursor(log, last_event_id="x:500")
    filled(log, 1)

    assert viewer.take() == b""
    assert 0 < Blocks.translated - before < 100


async def test_goes_on_when_it_was_woken_to_translate_more() -> None:
    log = Log("x")
    for number in range(1, 501):
        log.append(data(number, 1000))
    viewer = cursor(log, last_event_id="x:500")
    ended(log)

    assert await read(viewer) == words(log.since(0))[-1] + END


def test_forgets_its_words_with_the_last_viewer() -> None:
    log, shared = filled(Log("x"), 10), translations()
    one, other = cursor(log, shared), cursor(log, shared)
    drain(one)
    drain(other)

    one.close()
    assert len(shared) == 1
    other.close()
    assert len(shared) == 0


def test_holds_no_more_words_than_its_log_holds_frames(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(translation, "_LEAST", 2000)
    log, shared = Log("x", keeps="newest", max_events=100), translations()
    slow, fast = cursor(log, shared), cursor(log, shared)
    filled(log, 10)
    drain(slow)
    for _ in range(2000):
        filled(log, 1)
        drain(fast)
        (made,) = shared.values()
        assert made.held_bytes <= max(2000, log.held_bytes) + 1000
    assert made.first > 1000
    with pytest.raises(BrokenOff):  # what it wants is gone
        slow.take()


def test_holds_of_words_that_nobody_shares_only_those_it_takes_next() -> None:
    log = filled(Log("x"), 30)
    own = translation.Translation(log, Blocks(), 1)

    for given in (0, 10, 20):
        own.add(log.since(given)[:10], given)

    assert own.frames == words(log.since(0))[20:]


def test_does_not_give_an_old_join_when_there_is_more() -> None:
    log, shared = filled(Log("x"), 20), translations()
    cursor(log, shared).take()
    viewers = [cursor(log, shared) for _ in range(2)]
    viewers[0].take()

    filled(log, 1)
    drain(viewers[0])

    assert viewers[1].take() == written(log)


@pytest.mark.parametrize("seed", range(60))
async def test_gives_everybody_the_same_as_if_alone(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(seed)
    monkeypatch.setattr(translation, "_LEAST", random.choice([0, 1000, 1 << 20]))
    recorded, shared = Recorded(held=random.choice([4, 20, 1000])), translations()
    clients = [Client(recorded, shared) for _ in range(random.randint(1, 6))]

    for _ in range(random.randint(1, 60)):
        await recorded.write(random.choice([1, 1, 2, 5, 40]))
        for client in random.choices(clients, k=random.randint(0, 8)):
            client.take(random)
            if random.random() < 0.3:
                await asyncio.sleep(0)
    await recorded.write(1, end="completed")
    bodies = [await client.finish() for client in clients]

    page = await recorded.store.read("x", 0, 1 << 30)
    assert page is not None and page.first == 1
    assert set(bodies) == {b"".join(words(list(page.frames))) + END}
    assert not shared


@pytest.mark.parametrize("seed", range(20))
async def test_gives_what_is_left_to_those_who_come_late(seed: int) -> None:
    random = Random(seed)
    recorded = Recorded(held=random.choice([4, 20]), store=MemoryStore(max_events=40))
    shared = translations()
    for _ in range(random.randint(2, 40)):
        await recorded.write(random.choice([1, 2, 5, 40]))
    await recorded.write(1, end="completed")
    page = await recorded.store.read("x", 0, 1 << 30)
    assert page is not None

    viewers = [
        TranslatedCursor(recorded.log, Blocks, shared, read_page=recorded.read_page)
        for _ in range(3)
    ]
    bodies = [await read(viewer) for viewer in viewers]

    reset = b"data: reset trimmed %d\n\n" % page.first if page.first > 1 else b""
    made = b"".join(words(list(page.frames), page.first))
    assert bodies == [reset + made + END] * 3


async def test_sleeps_until_there_is_more() -> None:
    log = filled(Log("x"), 3)
    viewer = cursor(log)
    drain(viewer)
    waiter = Waiter(viewer.on_ready)

    sleeping = waiter.sleep()
    await asyncio.sleep(0)
    assert not sleeping.done()
    filled(log, 1)

    assert sleeping.done()
