"""Which way imports point, and how long files, classes and functions are."""

import pytest

from tests import house

MODULES = house.modules()

# What is longer than ``house.LONGEST``, by its name, with the reason: nothing today.
LONG: dict[str, str] = {}


@pytest.mark.parametrize("module", [name for name in MODULES if name])
def test_imports_only_what_the_row_of_its_room_names(module: str) -> None:
    allowed = house.rules()[house.room(module)]
    imported = {each.imported for each in house.imports(module, MODULES[module])}
    assert {name for name in imported if house.room(name) not in allowed} == set()


def test_has_a_row_for_each_room_and_no_other() -> None:
    assert set(house.rules()) == {house.room(name) for name in MODULES}


def test_has_no_circle_of_rooms() -> None:
    assert house.circle(house.arrows()) == []


def test_has_no_circle_of_modules() -> None:
    between = {(each.importer, each.imported) for each in house.all_imports()}
    assert house.circle(between) == []


def test_finds_a_circle() -> None:
    assert house.circle({("a", "b"), ("b", "c"), ("c", "a")}) != []


def test_counts_imports_for_types() -> None:
    source = "if TYPE_CHECKING:\n    from asgi_events.log.cursor import Cursor\n"
    assert house.imported_by(source) == {"log.cursor"}


def test_has_nothing_too_long_without_a_reason() -> None:
    long = {
        size.name: f"{size.lines} lines, {house.LONGEST[size.kind]} are enough"
        for size in house.sizes()
        if size.lines > house.LONGEST[size.kind]
    }
    assert {name: size for name, size in long.items() if name not in LONG} == {}
    assert set(LONG) - set(long) == set(), "is short enough now"


def test_measures_what_is_inside_of_something_else_and_its_decorators() -> None:
    source = "class A:\n    @cache\n    async def b(self):\n        return 1\n"
    assert list(house.sizes_in("a.py", source)) == [
        house.Size("a.py A", "class", 4),
        house.Size("a.py b", "function", 3),
    ]
