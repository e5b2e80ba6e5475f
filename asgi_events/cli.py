"""The command line: ``asgi-events demo`` and ``asgi-events inspect``."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

from asgi_events.exceptions import AsgiEventsError
from asgi_events.inspect import report


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="asgi-events", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="survey a source tree, and watch it in the browser",
        description="Serve a page on which a survey of the files below PATH is seen "
        "live. Nothing outside PATH is read.",
    )
    demo.add_argument("path", nargs="?", type=_folder, default=".", metavar="PATH")
    demo.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    demo.add_argument("--port", default=8000, type=_port, help="default: %(default)s")
    demo.set_defaults(run=_demo)
    inspect = commands.add_parser(
        "inspect",
        help="list the executions that a store holds, or print the events of one",
    )
    inspect.add_argument("store", metavar="STORE_URL", help="sqlite:///events.db, say")
    inspect.add_argument("id", nargs="?", metavar="ID")
    inspect.add_argument("--json", action="store_true", help="for programs")
    inspect.set_defaults(run=_inspect)
    options = parser.parse_args(argv)
    status: int = options.run(options)
    return status


def _folder(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not a folder")
    return path


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, 0 to 65535")
    return int(text)


def _demo(options: argparse.Namespace) -> int:
    try:
        from asgi_events.demo import Demo
        from asgi_events.server import serve
    except ImportError as error:
        print(
            f'{error}\nThe demo needs pip install "asgi-events[demo]"', file=sys.stderr
        )
        return 1
    host, port = options.host, options.port

    async def run() -> None:
        demo = Demo(options.path, host=host)
        print(
            f"Surveys {options.path.resolve()}: open http://{host}:{port}/", flush=True
        )
        await serve(demo, demo.events.executions, host=host, port=port)

    try:
        asyncio.run(run())
    except OSError as error:
        print(f"Can not serve on {host}:{port}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _inspect(options: argparse.Namespace) -> int:
    async def run() -> None:
        pieces = report(options.store, options.id, as_json=options.json)
        async with aclosing(pieces):
            async for text in pieces:
                print(text, end="", flush=True)

    try:
        asyncio.run(run())
    except BrokenPipeError:  # head, say; Python would complain once more at its exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (AsgiEventsError, ImportError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0
