"""The fixtures of these tests."""

import pytest

from asgi_events import EventStreamer


@pytest.fixture(autouse=True)
def no_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    """A streamer has a heartbeat only if a test gives it one.

    Tests compare whole bodies, and may be held up for longer than the default.
    """
    assert EventStreamer.__init__.__defaults__ == (True, 0.25)
    monkeypatch.setattr(EventStreamer.__init__, "__defaults__", (True, None))
