"""What a request of a chat is to the actor that answers it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from pydantic import BaseModel

from asgi_events.actors.actor import ActorFunction, actor_of
from asgi_events.actors.inputs import ActorInput
from asgi_events.checks import check_callables
from asgi_events.events import Message
from asgi_events.exceptions import UnknownActor
from asgi_events.executions.executions import Executions


class Chat(Protocol):
    """A request that has a conversation in it.

    Attributes:
        text: The text of the newest message of the user; empty without one.
    """

    @property
    def text(self) -> str: ...

    def messages_as_json(self) -> list[dict[str, Any]]:
        """Return all messages, in the form in which the client sent them."""


ChatInput: TypeAlias = Callable[[Any], Any]
"""Makes the input of an actor of a request: a model, a dict, or None for nothing."""


def answering(
    executions: Executions,
    actor: str | ActorFunction[..., Any],
    input: ChatInput | None,
    request: type[BaseModel],
) -> tuple[str, ChatInput]:
    """Return the name of the actor that answers, and what makes its input.

    Args:
        executions: Runs the actor.
        actor: The actor, or its name.
        input: What makes its input of a request; None for ``input_of``.
        request: The model of the requests, a ``Chat``.

    Raises:
        TypeError: A value is of a wrong type, or it is not clear what the actor gets.
        UnknownActor: ``executions`` has no such actor.
    """
    check_callables(input=input)
    name = actor if isinstance(actor, str) else actor_of(actor).name
    if name not in executions.actors:
        raise UnknownActor(name, list(executions.actors))
    return name, input or input_of(executions.inputs[name], request)


def input_of(takes: ActorInput, request: type[BaseModel]) -> ChatInput:
    """Return what makes the input of an actor of a request.

    The first of these that fits is used. All other parameters must have defaults.

    1. A parameter that is annotated with ``request`` gets the request.
    2. A parameter ``messages`` gets all messages, as JSON that its annotation
       validates.
    3. The only parameter without a default gets the text of the user's newest message,
       if it is a ``str`` or a ``Message``.
    4. An actor that needs no input gets none.

    Args:
        takes: The input of the actor.
        request: The model of the requests, a ``Chat``.

    Raises:
        TypeError: None of them fits.
    """
    if takes.parameter is not None:
        make = _maker(takes.model, request)
        if make is not None:
            return make
    else:
        fields = takes.model.model_fields
        needed = [name for name, field in fields.items() if field.is_required()]
        for name, field in fields.items():
            if field.annotation is request and needed in ([], [name]):
                return lambda chat: {name: chat}
        if "messages" in fields and needed in ([], ["messages"]):
            return lambda chat: {"messages": chat.messages_as_json()}
        if not needed:
            return lambda chat: None
        make = _maker(fields[needed[0]].annotation, request)
        if make is not None and len(needed) == 1:
            return lambda chat: {needed[0]: make(chat)}
    raise TypeError(
        f"It is not clear what {takes.actor!r} gets of a chat: let it take the text of "
        f"the newest message (a str, or a Message), a parameter messages, or the "
        f"{request.__name__}; or give input=, a function that makes the actor's input "
        f"of a {request.__name__}."
    )


def _maker(annotation: Any, request: type[BaseModel]) -> ChatInput | None:
    if annotation is request:
        return lambda chat: chat
    if annotation is Message:
        return lambda chat: Message(content=chat.text)
    if annotation is str:
        return lambda chat: chat.text
    return None
