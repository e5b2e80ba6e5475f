"""Runs an application on hypercorn, and drains its executions at SIGINT or SIGTERM."""

import asyncio
import signal
from collections.abc import Callable

from asgi_events.executions.executions import Executions
from asgi_events.types import ASGIApp

try:
    import hypercorn.asyncio
    from hypercorn.config import Config
except ImportError as error:
    raise ImportError(
        'Serving needs hypercorn: pip install "asgi-events[server]"'
    ) from error

# After the drain only idle connections are left. Under Python 3.12 and later hypercorn
# would wait for them for ever.
_CLOSE_TIMEOUT = 2.0  # seconds


async def serve(app: ASGIApp, executions: Executions, *, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM, then drain and return.

    A second signal ends at once.

    Raises:
        OSError: The server cannot listen on the address.
    """
    config = Config()
    config.bind = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}"]
    config.graceful_timeout = _CLOSE_TIMEOUT
    signalled = asyncio.Event()
    drained = asyncio.Event()

    async def stopped() -> None:
        await signalled.wait()
        await executions.drain()
        drained.set()

    serving = asyncio.ensure_future(
        hypercorn.asyncio.serve(app, config, shutdown_trigger=stopped)
    )

    def stop() -> None:
        if signalled.is_set():
            serving.cancel()
        signalled.set()

    _on_signals(stop)
    closing = asyncio.ensure_future(drained.wait())
    await asyncio.wait({serving, closing}, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait({serving}, timeout=_CLOSE_TIMEOUT)
    closing.cancel()
    serving.cancel()
    try:
        await serving
    except asyncio.CancelledError:
        pass


def _on_signals(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))
