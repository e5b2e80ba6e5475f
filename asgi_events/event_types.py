"""The ``event_type`` of the models that an application publishes as events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

from pydantic import BaseModel

from asgi_events.events import EventType


def event_type_of(model: type[BaseModel]) -> str:
    """Return the ``event_type`` on the wire: the field's default, or its only value.

    Raises:
        TypeError: The model has no such field.
    """
    field = model.model_fields.get("event_type")
    if field is not None:
        if isinstance(field.default, str):
            return str(field.default)
        values = get_args(field.annotation)
        if len(values) == 1 and isinstance(values[0], str):
            return values[0]
    raise TypeError(
        f"{model.__name__} has no event_type to be known by: give it a field "
        f'event_type: Literal["my_event"] = "my_event".'
    )


def check_models(name: str, models: Iterable[Any]) -> list[type[BaseModel]]:
    """Return the models that an argument has.

    Raises:
        TypeError: It is no list of pydantic models.
    """
    if isinstance(models, type | str) or not isinstance(models, Iterable):
        raise TypeError(
            f"{name} takes a list of pydantic models, got {models!r}: write "
            f"{name}=[Chart]."
        )
    found = list(models)
    for model in found:
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise TypeError(f"{name} takes pydantic models, got {model!r}.")
    return found


def check_publishes(models: Iterable[Any]) -> tuple[type[BaseModel], ...]:
    """Return the models that an actor says it publishes.

    Raises:
        TypeError: One of them is no pydantic model, or has no ``event_type``.
        ValueError: Its ``event_type`` is one of ours, or that of another one.
    """
    named: dict[str, type[BaseModel]] = {}
    for model in check_models("publishes", models):
        name = event_type_of(model)
        if name in set(EventType):
            raise ValueError(
                f"{model.__name__} has the event_type {name!r}, which is one of ours: "
                "give it another one."
            )
        if named.setdefault(name, model) is not model:
            raise ValueError(
                f"{named[name].__name__} and {model.__name__} have the same event_type "
                f"{name!r}: give one of them another one."
            )
    return tuple(named.values())
