"""The command line: ``asgi-events demo``, ``inspect``, ``tail`` and ``answer``."""

import argparse
import asyncio
import os
import signal
import stat
import sys
import tempfile
from collections.abc import Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

from asgi_events import __version__, compiled
from asgi_events.cli.inspect import Filters, report
from asgi_events.exceptions import AsgiEventsError
from asgi_events.terminal import printable

_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

_DEMO_LEASE = 3.0  # seconds, so that the end of a killed demo shows soon


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="asgi-events",
        description="Watch and answer executions of a server, look into a store, or "
        "see a demo.",
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_demo(commands)
    _add_inspect(commands)
    _add_tail(commands)
    _add_answer(commands)
    options = parser.parse_args(argv)
    status: int = options.run(options)
    return status


def _version() -> str:
    return f"asgi-events {__version__} ({'compiled' if compiled else 'pure Python'})"


def _add_demo(commands: _Commands) -> None:
    demo = commands.add_parser(
        "demo",
        help="survey a source tree, and watch it in the browser",
        description="Serve a page that shows a survey of the files below PATH while it "
        "runs, or a booking that asks you. Nothing outside PATH is read. After a "
        "restart the page still shows the executions that the store has.",
    )
    demo.add_argument("path", nargs="?", type=_folder, default=".", metavar="PATH")
    demo.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    demo.add_argument("--port", default=8000, type=_port, help="default: %(default)s")
    demo.add_argument(
        "--store",
        metavar="URL",
        help="where executions are kept; default: a SQLite file that only you can "
        "read, in the directory of temporary files",
    )
    demo.set_defaults(run=_demo)


def _add_inspect(commands: _Commands) -> None:
    inspect = commands.add_parser(
        "inspect",
        help="list the executions that a store holds, or print the events of one",
    )
    inspect.add_argument(
        "store", metavar="STORE_URL", help="for example sqlite:///events.db"
    )
    inspect.add_argument("id", nargs="?", metavar="ID")
    inspect.add_argument("--json", action="store_true", help="print JSON")
    listing = inspect.add_argument_group("which executions to list; default: all")
    listing.add_argument("--owner", help="'' for those without an owner")
    listing.add_argument("--thread")
    listing.add_argument(
        "--status", help="started, completed, failed, cancelled or lost"
    )
    listing.add_argument("--actor")
    listing.add_argument(
        "--limit", type=_limit, metavar="N", help="the newest N at most"
    )
    inspect.set_defaults(run=_inspect)


def _add_tail(commands: _Commands) -> None:
    tail = commands.add_parser(
        "tail",
        help="print the events of an execution of a server until it ends",
        description="Print the events of an execution as they come. It resumes where a "
        "connection breaks. Ctrl-C leaves; the execution runs on.",
        epilog="exit status: 0 completed, 1 failed, 2 wrong options, 3 cancelled, "
        "4 lost, 5 the end is not known, 130 Ctrl-C",
    )
    _add_url(tail)
    tail.add_argument(
        "--after",
        type=_number,
        default=0,
        metavar="N",
        help="print the events after number N",
    )
    tail.set_defaults(run=_tail)


def _add_answer(commands: _Commands) -> None:
    answer = commands.add_parser(
        "answer",
        help="show what an execution of a server asks, and answer it",
        description="Show the questions of an execution that are open, or question N, "
        "and answer it. Without CONTENT it asks for each field, on a terminal.",
        epilog="exit status: 0 the answer counts, or nothing was to be answered; 1 "
        "another answer counts, 2 wrong options, 3 nobody waits any more, 4 there is "
        "no such question, 5 it is not known, 6 the answer does not fit, 130 Ctrl-C",
    )
    _add_url(answer)
    answer.add_argument(
        "n",
        nargs="?",
        type=_question,
        metavar="N",
        help="the number of a question; only the owner may leave it out",
    )
    answer.add_argument(
        "content",
        nargs="?",
        metavar="CONTENT",
        help="the answer: JSON, or a word such as yes; - reads the standard input",
    )
    answer.add_argument(
        "--decline", action="store_true", help="decline to answer question N"
    )
    answer.set_defaults(run=_answer)


def _add_url(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "url", metavar="URL", help="https://example.com/events/executions/ID"
    )
    command.add_argument(
        "--header",
        action="append",
        type=_header,
        default=[],
        metavar="'NAME: VALUE'",
        help="a header of each request; may be repeated",
    )
    command.add_argument("--json", action="store_true", help="print JSON")


def _folder(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not a folder")
    return path


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, 0 to 65535")
    return int(text)


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 20:
        raise argparse.ArgumentTypeError(f"{text!r} is not the number of an event")
    return int(text)


def _question(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 20:
        raise argparse.ArgumentTypeError(f"{text!r} is not the number of a question")
    return int(text)


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 20 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of executions")
    return int(text)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        # Without the text, which may be a secret.
        raise argparse.ArgumentTypeError("it is not 'NAME: VALUE'")
    return name.strip(), value.strip()


def _demo(options: argparse.Namespace) -> int:
    try:
        from asgi_events.cli.demo import Demo
        from asgi_events.cli.server import serve
    except ImportError as error:
        print(
            f'{error}\nThe demo needs pip install "asgi-events[demo]"', file=sys.stderr
        )
        return 1
    host, port = options.host, options.port

    async def run() -> None:
        store = options.store or _default_store()
        demo = Demo(
            options.path,
            host=host,
            store=store,
            lease=_DEMO_LEASE,
            drain_grace=2.0,
        )
        name = f"[{host}]" if ":" in host else host
        print(
            f"Surveys {options.path.resolve()}: open http://{name}:{port}/\n"
            f"Keeps executions in {store}",
            flush=True,
        )
        await serve(demo, demo.events.executions, host=host, port=port)

    try:
        asyncio.run(run())
    except OSError as error:
        print(f"Cannot serve on {host}:{port}: {error.strerror}", file=sys.stderr)
        return 1
    except (AsgiEventsError, ImportError, ValueError) as error:
        print(f"--store: {error}", file=sys.stderr)
        return 1
    return 0


def _default_store() -> str:
    """Return the URL of a SQLite file in a directory that only this user may enter.

    Another user may have made a directory of that name among the temporary files. Then
    the file is in a new directory, and the next run does not find it.
    """
    user = os.getuid() if hasattr(os, "getuid") else "demo"
    folder = Path(tempfile.gettempdir(), f"asgi-events-{user}")
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if not _is_private(folder):
        folder = Path(tempfile.mkdtemp(prefix="asgi-events-"))
    return f"sqlite:///{quote(str(folder / f'demo-{__version__}.db'))}"


def _is_private(folder: Path) -> bool:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        return False
    if not hasattr(
        os, "getuid"
    ):  # Windows: each user has a directory of temporary files
        return True
    return found.st_uid == os.getuid() and not found.st_mode & 0o077


def _inspect(options: argparse.Namespace) -> int:
    filters: Filters = {}
    if options.owner is not None:
        filters["owner"] = options.owner or None
    filters["thread"], filters["actor"] = options.thread, options.actor
    filters["status"], limit = options.status, options.limit
    if options.id is not None and (
        limit or any(v is not None for v in filters.values())
    ):
        print(
            "ID is of one execution: it has no filters, and no --limit", file=sys.stderr
        )
        return 2

    async def run() -> None:
        pieces = report(
            options.store, options.id, as_json=options.json, limit=limit, **filters
        )
        async with aclosing(pieces):
            async for text in pieces:
                print(text, end="", flush=True)

    try:
        asyncio.run(run())
    except BrokenPipeError:
        _forget_output()
        return 1
    except (AsgiEventsError, ImportError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _tail(options: argparse.Namespace) -> int:
    try:
        from asgi_events.cli.tail import TROUBLE, WrongOption, tail
    except ImportError as error:
        print(error, file=sys.stderr)
        return 5
    try:
        return tail(
            options.url,
            after=options.after,
            headers=dict(options.header),
            as_json=options.json,
        )
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        _forget_output()
    except (AsgiEventsError, ValueError) as error:
        print(printable(str(error)), file=sys.stderr)
        return 2 if isinstance(error, WrongOption) else TROUBLE
    return TROUBLE


def _answer(options: argparse.Namespace) -> int:
    if options.decline and (options.n is None or options.content is not None):
        print("--decline is of a question N, without CONTENT", file=sys.stderr)
        return 2
    try:
        from asgi_events.cli.answer import TROUBLE, Answering
        from asgi_events.cli.tail import WrongOption
    except ImportError as error:
        print(error, file=sys.stderr)
        return 5
    try:
        with Answering(
            options.url, headers=dict(options.header), as_json=options.json
        ) as answering:
            if options.decline:
                return answering.decline(options.n)
            return answering.answer(options.n, options.content)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        _forget_output()
    except (AsgiEventsError, ValueError) as error:
        print(printable(str(error)), file=sys.stderr)
        return 2 if isinstance(error, WrongOption) else TROUBLE
    return TROUBLE


def _forget_output() -> None:
    """Write nowhere from now on: nobody reads what is printed, as after ``head``.

    Without this Python reports it again at its exit.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
