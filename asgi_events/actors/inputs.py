"""The input of an actor as JSON: its schema and its validation."""

import inspect
import warnings
from functools import partial
from types import SimpleNamespace
from typing import Any, TypeGuard, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    PydanticUserError,
    ValidationError,
    create_model,
)
from pydantic_core import PydanticUndefined

from asgi_events.actors.actor import Actor, ActorFunction, actor_of
from asgi_events.events import ExecutionResult
from asgi_events.exceptions import InvalidInput


class ActorInput:
    """The input of an actor: the one pydantic model it takes, or an object with a
    member for each parameter.

    Attributes:
        actor: The actor.
        model: That model, or the model of that object.
        parameter: The name of the parameter that takes the whole model; None if each
            parameter has a member of its own.

    Raises:
        TypeError: The actor has a parameter that JSON cannot name or hold, or whose
            annotation only type checkers can resolve.
    """

    def __init__(self, function: ActorFunction[..., Any] | Actor[..., Any]) -> None:
        self.actor = actor = actor_of(function)
        parameters = actor.signature.parameters.values()
        for parameter in parameters:
            if parameter.kind in (
                parameter.POSITIONAL_ONLY,
                parameter.VAR_POSITIONAL,
                parameter.VAR_KEYWORD,
            ) or parameter.name.startswith("_"):
                raise TypeError(
                    f"{actor!r} cannot be started over HTTP: JSON cannot name "
                    f"its parameter {parameter}."
                )
        hints = _parameter_hints(actor)
        self.model: type[BaseModel]
        self.parameter: str | None = None
        self._default: Any = inspect.Parameter.empty  # of that one model
        only = next(iter(parameters)) if len(parameters) == 1 else None
        annotation = None if only is None else hints.get(only.name)
        if only is not None and _is_model(annotation):
            self.parameter = only.name
            self._default = only.default
            self.model = annotation
        else:
            fields: dict[str, Any] = {
                parameter.name: (
                    hints.get(parameter.name, Any),
                    PydanticUndefined
                    if parameter.default is inspect.Parameter.empty
                    else parameter.default,
                )
                for parameter in parameters
            }
            self.model = _object(actor, fields)

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the input."""
        return self.model.model_json_schema()

    def from_json(self, body: bytes) -> dict[str, Any]:
        """Return the arguments in a JSON ``body``.

        Raises:
            InvalidInput: The body does not validate.
        """
        try:
            return self._arguments(self.model.model_validate_json(body))
        except ValidationError as error:
            raise InvalidInput.of(self.actor.name, error) from None

    def from_python(self, value: Any) -> dict[str, Any]:
        """Return the arguments in a model, a dict, or None for no input.

        Raises:
            InvalidInput: The value does not validate.
        """
        if value is None and self._default is not inspect.Parameter.empty:
            return {str(self.parameter): self._default}
        try:
            return self._arguments(
                self.model.model_validate({} if value is None else value)
            )
        except ValidationError as error:
            raise InvalidInput.of(self.actor.name, error) from None

    def _arguments(self, model: BaseModel) -> dict[str, Any]:
        if self.parameter is not None:
            return {self.parameter: model}
        return {name: getattr(model, name) for name in type(model).model_fields}


def returned_by(actor: Actor[..., Any]) -> Any:
    """What the function of an actor is annotated to return; ``Any`` if nothing is."""
    function = _annotated(actor.function)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return str
    try:
        returned = get_type_hints(function, include_extras=True).get("return", Any)
    except NameError:  # an annotation that only type checkers can resolve
        return Any
    if isinstance(returned, type) and issubclass(returned, ExecutionResult):
        return returned.model_fields["result"].annotation
    return returned


def _parameter_hints(actor: Actor[..., Any]) -> dict[str, Any]:
    """The annotations of the parameters; that of the result need not be resolved."""
    function = _annotated(actor.function)
    parameters = SimpleNamespace(
        __annotations__={
            name: annotation
            for name, annotation in getattr(function, "__annotations__", {}).items()
            if name != "return"
        },
        __globals__=getattr(inspect.unwrap(function), "__globals__", {}),
        __type_params__=getattr(function, "__type_params__", ()),
    )
    try:
        return get_type_hints(parameters, include_extras=True)
    except NameError as error:
        raise TypeError(
            f"{actor!r} cannot be started over HTTP: the annotation of a parameter "
            f"cannot be resolved, {error}. Import the name where the module runs, not "
            "only where TYPE_CHECKING is true."
        ) from error


def _annotated(function: Any) -> Any:
    """Return the function that has the annotations."""
    while isinstance(function, partial):
        function = function.func
    return function if inspect.isroutine(function) else type(function).__call__


def _object(actor: Actor[..., Any], fields: dict[str, Any]) -> type[BaseModel]:
    config = ConfigDict(extra="forbid", protected_namespaces=())
    try:
        with warnings.catch_warnings():
            # A parameter may be called "schema" or "copy": nobody calls these here.
            warnings.filterwarnings("ignore", "Field name .* shadows", UserWarning)
            return create_model(actor.name, __config__=config, **fields)
    except PydanticUserError as error:
        raise TypeError(f"{actor!r} cannot be started over HTTP: {error}") from error


def _is_model(annotation: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
