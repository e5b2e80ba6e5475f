"""What parts of an OpenAPI document share, each under a name of its own."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from itertools import count
from typing import Any, Literal, TypeAlias

Reference: TypeAlias = dict[str, str]
"""A ``{"$ref": …}``."""

Kind: TypeAlias = Literal["schemas", "responses", "parameters", "headers"]


class Shared:
    """The components of one kind: no two have the same name.

    Args:
        kind: The kind.
        taken: Those of another document, whose names are taken.

    Attributes:
        named: All of them by their names.
    """

    def __init__(self, kind: Kind, taken: Mapping[str, Any] | None = None) -> None:
        self.named: dict[str, Any] = dict(taken or {})
        self._prefix = f"#/components/{kind}/"

    @property
    def template(self) -> str:
        """What pydantic makes references of."""
        return f"{self._prefix}{{model}}"

    def reference(self, name: str) -> Reference:
        """Return a reference to a component."""
        return {"$ref": f"{self._prefix}{name}"}

    def add(self, name: str, value: Any) -> Reference:
        """Add a component, under another name if that one is another's."""
        return self.reference(self.add_all({name: value})[name])

    def add_all(self, values: Mapping[str, Any], suffix: str = "") -> dict[str, str]:
        """Add components that may refer to each other.

        Args:
            values: The components by the names that they would have.
            suffix: What follows the name of a component whose name is another's.

        Returns:
            The names that they got by those that they would have.
        """
        names = {name: name for name in values}
        for name in sorted(self._others(values)):
            taken = {*self.named, *values, *names.values()}
            names[name] = free_name(f"{name}{suffix}", taken)
        for name, value in values.items():
            self.named[names[name]] = self.renamed(value, names)
        return names

    def renamed(self, value: Any, names: Mapping[str, str]) -> Any:
        """Return a part of the document with its references to other names."""
        if isinstance(value, dict):
            return {key: self.renamed(item, names) for key, item in value.items()}
        if isinstance(value, list):
            return [self.renamed(item, names) for item in value]
        if isinstance(value, str) and value.startswith(self._prefix):
            name = value.removeprefix(self._prefix)
            return f"{self._prefix}{names.get(name, name)}"
        return value

    def _others(self, values: Mapping[str, Any]) -> set[str]:
        """The names that belong to something else, or to what refers to it."""
        known = self.named.keys() & values.keys()
        others = {name for name in known if self.named[name] != values[name]}
        while more := {
            name
            for name in known - others
            if not others.isdisjoint(self._mentioned(values[name]))
        }:
            others |= more
        return others

    def _mentioned(self, value: Any) -> Iterator[str]:
        if isinstance(value, dict | list):
            for item in value.values() if isinstance(value, dict) else value:
                yield from self._mentioned(item)
        elif isinstance(value, str) and value.startswith(self._prefix):
            yield value.removeprefix(self._prefix)


def free_name(name: str, taken: Container[str]) -> str:
    """Return ``name``, with a number if it is taken."""
    if name not in taken:
        return name
    return next(f"{name}{n}" for n in count(2) if f"{name}{n}" not in taken)
