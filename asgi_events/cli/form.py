"""The form of a question as words: what each field may be, and what a word stands for.

A form that a later version of the server has made may have what is not known here.
That is not checked here: the server decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from asgi_events.actors.answers import errors_in
from asgi_events.terminal import printable
from asgi_events.wire.decoding import read_json
from asgi_events.wire.encoding import encode_json

_WORDS = {"yes": True, "y": True, "true": True, "no": False, "n": False, "false": False}

_KINDS = {
    "boolean": "yes or no",
    "integer": "a whole number",
    "number": "a number",
    "string": "a text",
    "array": "a list",
}

_FORMATS = {
    "date": "a date, as 2026-01-31",
    "date-time": "a date and a time, as 2026-01-31T12:00:00Z",
    "email": "an e-mail address",
    "uri": "a URL",
}

_BOUNDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} of them",
    "maxItems": "at most {} of them",
}


_ANYTHING = {"minLength": 1}  # as whatever is not left out


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a form.

    Attributes:
        name: Its name; empty if the form is this one field.
        schema: What it may be.
        is_required: Whether it must be given.
    """

    name: str
    schema: Mapping[str, Any]
    is_required: bool

    @property
    def may_be_empty(self) -> bool:
        """Whether it need not be given."""
        return bool(self.name) and (not self.is_required or "default" in self.schema)

    @property
    def words(self) -> str:
        """What it may be, in a line."""
        parts = [_kind(self.schema)]
        for rule, says in _BOUNDS.items():
            if self.schema.get(rule) not in (None, _ANYTHING.get(rule)):
                parts.append(says.format(self.schema[rule]))
        if self.may_be_empty and "default" in self.schema:
            parts.append(f"{_word(self.schema['default'])} if it is left out")
        elif self.may_be_empty:
            parts.append("may be left out")
        return one_line(", ".join(parts))

    @property
    def line(self) -> str:
        """Its name, what it may be, and its description."""
        name = f"{self.name}: " if self.name else ""
        more = self.schema.get("description")
        return one_line(f"{name}{self.words}{f' ({more})' if more else ''}")

    def value(self, text: str) -> Any:
        """Return what a text stands for: JSON, or a bare word.

        Raises:
            ValueError: It is neither.
        """
        kind = self.schema.get("type")
        if kind == "boolean" and text.lower() in _WORDS:
            return _WORDS[text.lower()]
        if kind == "array" and not text.startswith("["):
            words = [word.strip() for word in text.split(",")]
            return [_titles(self.schema).get(word, word) for word in words]
        try:
            value = read_json(text.encode())
        except ValueError:
            if kind in _KINDS and kind != "string":
                raise ValueError(f"It must be {self.words}.") from None
            value = text
        if kind == "string":
            word = value if isinstance(value, str) else text
            return _titles(self.schema).get(word, word)
        return value


def fields(form: Mapping[str, Any]) -> list[Field]:
    """The fields of a form; one without a name if it is no object."""
    return list(_members(form)) or [Field("", form, is_required=True)]


def content_of(form: Mapping[str, Any], text: str) -> Any:
    """Return the answer that a text stands for: JSON, or a bare word.

    Raises:
        ValueError: It is neither.
    """
    first, *others = fields(form)
    if not first.name:
        return first.value(text)
    try:
        return read_json(text.encode())
    except ValueError:
        names = ", ".join(one_line(field.name) for field in (first, *others))
        raise ValueError(f"It must be a JSON object of {names}.") from None


def complaints(form: Mapping[str, Any], content: Any) -> list[str]:
    """What is wrong with an answer, in a sentence for each fault."""
    try:
        errors = errors_in(form, content)
    except (AttributeError, KeyError, TypeError, ValueError):
        return []
    return [sentence(error) for error in errors]


def sentence(error: Any) -> str:
    """Return an error as a line; it has the shape of those of pydantic."""
    place = ".".join(map(str, _list(_mapping(error).get("loc"))))
    message = str(_mapping(error).get("msg", error))
    return one_line(": ".join(filter(None, [place, message])))


def ask(
    form: Mapping[str, Any], prompt: Callable[[str], str], tell: Callable[[str], None]
) -> Any:
    """Ask for each field until it fits; return the answer.

    Args:
        form: What is asked for.
        prompt: Shows a text and returns a line, as ``input`` does.
        tell: Is given what is wrong with a line.
    """
    found = fields(form)
    given = {}
    for field in found:
        text = _line(field, prompt, tell)
        if text:
            given[field.name] = field.value(text)
    return given if found[0].name else given[""]


def one_line(text: str) -> str:
    """Return text of others as a part of one line."""
    return printable(text.replace("\n", " "))


def _line(
    field: Field, prompt: Callable[[str], str], tell: Callable[[str], None]
) -> str:
    """The first line that fits a field; an empty one leaves it out."""
    name = one_line(field.name or "answer")
    while True:
        text = prompt(f"{name} ({field.words}): ").strip()
        if not text and field.may_be_empty:
            return ""
        wrong = _wrong(field, text)
        if not wrong:
            return text
        for each in wrong:
            tell(each)


def _wrong(field: Field, text: str) -> list[str]:
    if not text:
        return ["It is required."]
    try:
        return complaints(field.schema, field.value(text))
    except ValueError as error:
        return [str(error)]


def _members(form: Mapping[str, Any]) -> Iterator[Field]:
    if form.get("type") != "object":
        return
    required = _list(form.get("required"))
    for name, schema in _mapping(form.get("properties")).items():
        yield Field(name, _mapping(schema), is_required=name in required)


def _kind(schema: Mapping[str, Any]) -> str:
    titles = _titles(schema)
    if titles:
        several = [f"{value} ({title})" for title, value in titles.items()]
        if schema.get("type") == "array":
            return f"some of {', '.join(several)}"
        return " or ".join(several)
    if words := _list(schema.get("enum")):
        return " or ".join(map(_word, words))
    if words := _list(_mapping(schema.get("items")).get("enum")):
        return f"some of {', '.join(map(_word, words))}"
    kind = _KINDS.get(str(schema.get("type")), "JSON")
    return _FORMATS.get(str(schema.get("format")), kind)


def _titles(schema: Mapping[str, Any]) -> dict[str, str]:
    """The values of what is offered with titles, by their titles."""
    values, names = _list(schema.get("enum")), _list(schema.get("enumNames"))
    several = _list(_mapping(schema.get("items")).get("anyOf"))
    offered = [*_list(schema.get("oneOf")), *several]
    return {
        **dict(zip(map(str, names), map(str, values), strict=False)),
        **{
            str(option.get("title", option["const"])): str(option["const"])
            for option in map(_mapping, offered)
            if "const" in option
        },
    }


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) and value:
        return value
    return encode_json(value).decode()
