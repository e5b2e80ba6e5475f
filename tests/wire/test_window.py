"""A window of frames, against a list."""

from bisect import bisect_right
from itertools import accumulate

from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_events.wire.window import BLOCK, FrameWindow

SOME = st.integers(0, 3 * BLOCK)
SHARE = st.floats(0, 1)
STEPS = st.one_of(
    st.tuples(st.just("hold"), st.one_of(SOME, st.integers(0, 5)), SHARE),
    st.tuples(
        st.sampled_from(["drop", "drop old", "trim", "cut", "restart"]), SOME, SHARE
    ),
)


class Model:
    """What a ``FrameWindow`` is, as a list."""

    def __init__(self, start: int) -> None:
        self.first = start + 1
        self.frames: list[bytes] = []

    @property
    def last(self) -> int:
        return self.first + len(self.frames) - 1

    def drop(self, number: int) -> None:
        del self.frames[: number + 1 - self.first]
        self.first = number + 1

    def page(self, after: int, limit: int) -> int:
        sizes = [len(each) for each in self.frames[after + 1 - self.first :]]
        return after + max(1, bisect_right(list(accumulate(sizes)), limit))


def frames(first: int, count: int) -> list[bytes]:
    return [b"%d" % number * (number % 4) for number in range(first, first + count)]


def check(window: FrameWindow, model: Model, share: float) -> None:
    first, last = model.first, model.last
    assert (window.first, window.last, window.count) == (first, last, last + 1 - first)
    assert window.size - window.begin == sum(map(len, model.frames))
    assert window.since(first - 1) == model.frames
    assert window.frames == model.frames[len(model.frames) - len(window.frames) :]
    assert bool(window.frames) is bool(model.frames)
    places = {first - 1, first, last - 1, last, window.base - 1, window.base - 2}
    places.add(first - 1 + round(share * (last + 1 - first)))
    for after in places:
        if not first - 1 <= after <= last:
            continue
        rest = model.frames[after + 1 - first :]
        for count in (0, 1, 5, BLOCK, 2 * BLOCK):
            assert window.between(after, after + count) == rest[:count]
        if after < last:
            for limit in (1, 100, 64 * 1024, 1 << 30):
                assert window.page(after, limit) == model.page(after, limit)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 100), st.lists(STEPS, max_size=10))
def test_holds_what_a_list_would(
    start: int, steps: list[tuple[str, int, float]]
) -> None:
    window, model = FrameWindow(start), Model(start)
    for step, count, share in steps:
        number = model.first - 1 + round(share * len(model.frames))
        if step == "hold":
            while count:  # as they come, a few at a time
                added = frames(model.last + 1, min(count, 1 + round(share * 999)))
                window.hold(added)
                model.frames += added
                count -= len(added)
        elif step == "drop" and number >= model.first:
            window.drop(number)
            model.drop(number)
        elif step == "drop old":
            window.drop_old()
            if model.frames:
                model.drop(model.last - 1)
        elif step == "trim":
            some = min(len(model.frames) // 4 + 1, BLOCK)
            assert window.trim() is (len(model.frames) > 1)
            if len(model.frames) > 1:
                model.drop(min(model.first + some - 1, model.last - 1))
        elif step == "cut":
            window.cut(number)
            del model.frames[number + 1 - model.first :]
        elif step == "restart":
            window.restart(count)
            model = Model(count - 1)
        check(window, model, share)


def test_drops_few_frames_at_a_time_of_many_and_moves_no_more() -> None:
    window = FrameWindow()
    for number in range(100):
        window.hold(frames(number, 1_000))
    count = window.count
    while window.count > 1:
        assert window.trim()
        assert 0 < count - window.count <= BLOCK
        assert len(window.frames) <= BLOCK + 1_000
        count = window.count


def test_gives_what_it_drops_whole_in_blocks_to_be_freed_one_by_one() -> None:
    window = FrameWindow()
    held = frames(1, 100_000)
    for number in range(0, 100_000, 100):
        window.hold(held[number : number + 100])

    blocks = window.drop_old()

    assert [frame for block in blocks for frame in block.frames] == held[:-1]
    assert max(len(block.frames) for block in blocks) <= BLOCK + 100
    assert window.since(window.first - 1) == held[-1:]
