"""The command line: ``asgi-events demo``."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path


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
        demo = Demo(options.path)
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
