"""The applications of the table: each framework, in each way that it allows.

Servers pass no arguments to applications, so the environment says what a process
serves: ``MATRIX_FRAMEWORK``, ``MATRIX_WAY`` ("all" or one way), ``MATRIX_AROUND`` (a
middleware of another library), ``MATRIX_OPTIONS`` (JSON, for ``Executions``),
``MATRIX_ENDS`` (the file for the ends of executions) and ``MATRIX_SHARED`` (the file of
a store that several processes share).
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from asgi_events import (
    EventBus,
    EventsApp,
    EventsMiddleware,
    EventSourceResponse,
    EventStreamer,
    Executions,
    ExecutionState,
    current_state,
    tool,
)
from asgi_events.events import TerminalEvent
from asgi_events.exceptions import UnknownExecution
from asgi_events.http.problems import send_json
from asgi_events.http.viewing import ExecutionResponse
from asgi_events.types import ASGIApp, Receive, Scope, Send

WAYS: dict[str, list[str]] = {
    "bare": ["mounted"],
    "starlette": ["mounted", "around", "endpoint"],
    "fastapi": ["mounted", "around", "endpoint"],
    "litestar": ["mounted", "around", "endpoint"],
    "quart": ["around", "endpoint"],
    "django": ["around", "endpoint"],
}
"""Quart and Django mount nothing below themselves; "bare" is no framework at all."""

running: Counter[str] = Counter()
gates: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(0))


class Numbered(BaseModel):
    """An event with its number."""

    number: int
    text: str = ""


@contextmanager
def counted(name: str) -> Iterator[None]:
    running[name] += 1
    try:
        yield
    finally:
        running[name] -= 1


@tool
async def quiet() -> None:
    """Publish one event, and then nothing until cancelled."""
    with counted("quiet"):
        await current_state().publish(Numbered(number=1))
        await asyncio.Event().wait()


@tool
async def endless(pace: float = 0.01) -> None:
    """Publish numbered events until cancelled."""
    number = 0
    with counted("endless"):
        while True:
            number += 1
            await current_state().publish(Numbered(number=number))
            await asyncio.sleep(pace)


@tool
async def flood(to: int, text: str = "") -> int:
    """Publish ``to`` numbered events and never wait for anything else."""
    with counted("flood"):
        for number in range(1, to + 1):
            await current_state().publish(Numbered(number=number, text=text))
    return to


@tool
async def failing() -> None:
    """Publish two events and raise."""
    for number in (1, 2):
        await current_state().publish(Numbered(number=number))
    raise RuntimeError("broken")


@tool
async def gated(to: int, gate: str) -> int:
    """Publish each event only when the one before has been confirmed."""
    for number in range(1, to + 1):
        await current_state().publish(Numbered(number=number))
        await gates[gate].acquire()
    return to


ACTORS = [quiet, endless, flood, failing, gated]


def _note(line: str) -> None:
    if path := os.environ.get("MATRIX_ENDS"):
        with Path(path).open("a") as file:
            file.write(line)


class NotedEnds:
    """Writes to a file how each execution ended."""

    def for_execution(
        self, execution_id: str, *, actor: str, owner: str | None
    ) -> Callable[[BaseModel], None]:
        def handle(event: BaseModel) -> None:
            if isinstance(event, TerminalEvent):
                _note(f"{execution_id} {event.event_type}\n")

        return handle


OPTIONS: dict[str, Any] = {
    "cancel_after": 0,
    "drain_grace": 1.0,
    "handle_signals": True,
    "retry": 20,
    "send_timeout": 3.0,
    "max_stream_backlog": 2 * 1024 * 1024,
    **json.loads(os.environ.get("MATRIX_OPTIONS", "{}")),
}

HEADERS = {}
if os.environ.get("MATRIX_AROUND") == "django":
    # Its GZipMiddleware keeps events in the compressor. It does not compress what has
    # a content coding, and there is no other way to turn it off.
    HEADERS = {"content-encoding": "identity"}


def _shared() -> Executions | None:
    """Return executions that a second process finds too."""
    path = os.environ.get("MATRIX_SHARED")
    if path is None:
        return None
    from asgi_events.stores.sqlite import SQLiteStore

    store = SQLiteStore(path)
    options = {name: OPTIONS[name] for name in ("drain_grace", "handle_signals")}
    return Executions(*ACTORS, store=store, retry=20, cancel_after=0.5, **options)


def _executions() -> dict[str, Executions]:
    held = {"": Executions(*ACTORS, handlers=[NotedEnds()], **OPTIONS)}
    if (shared := _shared()) is not None:
        held["shared-"] = shared
    return held


executions = _executions()


@asynccontextmanager
async def lifespan(_: object) -> AsyncIterator[None]:
    """Open the executions: frameworks do not pass the lifespan to what they mount."""
    async with AsyncExitStack() as stack:
        for held in executions.values():
            await stack.enter_async_context(held)
        yield


async def respond(
    kind: str, name: str, method: str, body: bytes, last_event_id: str | None
) -> ASGIApp:
    """Return the stream that the endpoints of all frameworks send.

    ``own`` is the stream of an ``EventStreamer``, ``kept`` the stream of an execution,
    and ``iterable`` that of an async iterable.
    """
    given = json.loads(body) if body else {}
    if kind == "iterable":
        return EventSourceResponse(_items(), headers=HEADERS)
    if kind == "own":
        actor = next(actor for actor in ACTORS if actor.__name__ == name)
        bus = EventBus()
        streamer = EventStreamer(
            heartbeat_interval=15.0, drain_grace=OPTIONS["drain_grace"]
        )
        bus.subscribe(streamer)
        task = asyncio.create_task(ExecutionState(bus).run(actor, **given))
        return streamer.response(
            execution_task=task, headers=HEADERS, send_timeout=OPTIONS["send_timeout"]
        )
    held = executions[kind.removesuffix("kept")]
    if method == "POST":
        return ExecutionResponse(await held.start(name, given), headers=HEADERS)
    try:
        execution = await held.get(name)
    except UnknownExecution as error:
        return _not_found(str(error))
    return ExecutionResponse(execution, headers=HEADERS)


async def _items() -> AsyncIterator[Numbered]:
    with counted("items"):
        yield Numbered(number=1)
        await asyncio.Event().wait()


def _not_found(detail: str) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, 404, {"detail": detail})

    return answer


Mounts = Mapping[str, ASGIApp]
PATH = "/{kind}/{name}"


def starlette(mounts: Mounts, endpoint: bool) -> ASGIApp:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.routing import BaseRoute, Mount, Route

    async def stream(request: Request) -> ASGIApp:
        kind, name = request.path_params["kind"], request.path_params["name"]
        last = request.headers.get("last-event-id")
        return await respond(kind, name, request.method, await request.body(), last)

    routes: list[BaseRoute] = [Mount(path, app) for path, app in mounts.items()]
    if endpoint:
        routes.append(Route(PATH, stream, methods=["GET", "POST"]))
    return Starlette(routes=routes, lifespan=lifespan)


def fastapi(mounts: Mounts, endpoint: bool) -> ASGIApp:
    from fastapi import FastAPI, Request
    from fastapi.responses import Response

    from asgi_events.adapters.starlette import ASGIResponse

    async def stream(kind: str, name: str, request: Request) -> Response:
        body, last = await request.body(), request.headers.get("last-event-id")
        return ASGIResponse(await respond(kind, name, request.method, body, last))

    stream.__annotations__ |= {"request": Request, "return": Response}
    app = FastAPI(lifespan=lifespan)
    for path, mounted in mounts.items():
        app.mount(path, mounted)
    if endpoint:
        app.api_route(PATH, methods=["GET", "POST"], response_model=None)(stream)
    return app


def litestar(mounts: Mounts, endpoint: bool) -> ASGIApp:
    from litestar import HttpMethod, Litestar, Request, asgi, route
    from litestar.types import ASGIApp as LitestarApp

    async def stream(request: Any) -> Any:
        kind, name = request.path_params["kind"], request.path_params["name"]
        body, last = await request.body(), request.headers.get("last-event-id")
        return await respond(kind, name, request.method, body, last)

    stream.__annotations__ |= {"request": Request, "return": LitestarApp}
    handlers: list[Any] = [
        asgi(path, is_mount=True, copy_scope=True)(app) for path, app in mounts.items()
    ]
    if endpoint:
        methods = [HttpMethod.GET, HttpMethod.POST]
        path = "/{kind:str}/{name:str}"
        handlers.append(route(path, http_method=methods, status_code=200)(stream))
    return Litestar(handlers, lifespan=[lifespan], openapi_config=None)


def quart(mounts: Mounts, endpoint: bool) -> ASGIApp:
    from quart import Quart, Response, request

    from asgi_events.adapters.quart import asgi_response

    async def stream(kind: str, name: str) -> Response:
        body, last = await request.get_data(), request.headers.get("last-event-id")
        app = await respond(kind, name, request.method, body, last)
        return await asgi_response(app)

    app = Quart(__name__)

    @app.while_serving
    async def serving() -> AsyncIterator[None]:
        async with lifespan(app):
            yield

    if endpoint:
        app.route("/<kind>/<name>", methods=["GET", "POST"])(stream)
    return app


def django(mounts: Mounts, endpoint: bool) -> ASGIApp:
    import django
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.http import HttpRequest, StreamingHttpResponse
    from django.urls import path

    from asgi_events.adapters.django import asgi_response

    async def stream(
        request: HttpRequest, kind: str, name: str
    ) -> StreamingHttpResponse:
        method, last = request.method or "", request.headers.get("last-event-id")
        app = await respond(kind, name, method, request.body, last)
        return await asgi_response(request, app)

    around = os.environ.get("MATRIX_AROUND")
    gzip = ["django.middleware.gzip.GZipMiddleware"] if around == "django" else []
    settings.configure(
        ROOT_URLCONF=type("urls", (), {"urlpatterns": []}),
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="matrix",
        MIDDLEWARE=gzip,
    )
    if endpoint:
        settings.ROOT_URLCONF.urlpatterns.append(path("<kind>/<name>", stream))
    django.setup()
    return get_asgi_application()


FRAMEWORKS: dict[str, Callable[[Mounts, bool], ASGIApp]] = {
    "starlette": starlette,
    "fastapi": fastapi,
    "litestar": litestar,
    "quart": quart,
    "django": django,
}


ORIGIN = "https://example.org"  # whose pages may start executions


def build(framework: str, way: str) -> ASGIApp:
    """Return the application of one framework in one way, or in all ways."""
    served = {
        kind: EventsApp(executions=held, allowed_origins=[ORIGIN])
        for kind, held in executions.items()
    }
    if framework == "bare":
        return _Bare(served)
    mounts: Mounts = {}
    if way in ("mounted", "all") and "mounted" in WAYS[framework]:
        mounts = {f"/{kind}mounted": app for kind, app in served.items()}
    app = FRAMEWORKS[framework](mounts, way in ("endpoint", "all"))
    if way in ("around", "all") or framework == "django":  # which has no lifespan
        for kind, held in executions.items():
            app = EventsMiddleware(
                app,
                executions=held,
                prefix=f"/{kind}events",
                allowed_origins=[ORIGIN],
            )
    return app


class _Bare:
    """No framework: the first part of the path selects the way."""

    def __init__(self, served: Mapping[str, ASGIApp]) -> None:
        self._served = served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        kind = "shared-" if path.startswith("/shared-mounted") else ""
        if scope["type"] == "http" and path.startswith(f"/{kind}mounted"):
            scope = {**scope, "root_path": f"/{kind}mounted"}
        app = self._served[kind]
        if path.startswith(("/own/", "/iterable/")):
            _, of, name = path.split("/")
            app = await respond(of, name, scope["method"], b"", None)
        await app(scope, receive, send)


def _around(app: ASGIApp) -> ASGIApp:
    """Return a middleware of another library around the application."""
    match os.environ.get("MATRIX_AROUND"):
        case "gzip":
            from starlette.middleware.gzip import GZipMiddleware

            return GZipMiddleware(app, minimum_size=0)
        case "gzip-all":
            from starlette.middleware.gzip import GZipMiddleware

            return GZipMiddleware(app, minimum_size=0, exclude_content_types=())
        case "brotli":
            from brotli_asgi import BrotliMiddleware

            return BrotliMiddleware(app, minimum_size=0)
        case "base":
            from starlette.middleware.base import BaseHTTPMiddleware

            async def dispatch(request: Any, call_next: Any) -> Any:
                return await call_next(request)

            return BaseHTTPMiddleware(app, dispatch=dispatch)
        case "cors":
            from starlette.middleware.cors import CORSMiddleware

            return CORSMiddleware(app, allow_origins=[ORIGIN])
    return app


class Inspected:
    """Answers questions of the test about the process; passes the rest to ``app``."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] == "http" and path == "/introspect":
            await send_json(send, 200, self._about(bool(scope["query_string"])))
        elif scope["type"] == "http" and path.startswith("/confirm/"):
            gates[path.removeprefix("/confirm/")].release()
            await send_json(send, 200, {})
        else:
            await self._app(scope, receive, send)

    def _about(self, whole: bool) -> dict[str, Any]:
        about: dict[str, Any] = {
            "pid": os.getpid(),
            "viewers": sum(e.viewers for held in executions.values() for e in held),
            "running": sum(running.values()),
        }
        if whole:
            gc.collect()
            about["objects"] = len(gc.get_objects())
            about["held"] = sum(len(list(held)) for held in executions.values())
            about["tasks"] = len(asyncio.all_tasks())
        return about


app = Inspected(
    _around(
        build(
            os.environ.get("MATRIX_FRAMEWORK", "bare"),
            os.environ.get("MATRIX_WAY", "all"),
        )
    )
)
