"""Which way imports point."""

import pytest

from tests import house

MODULES = house.modules()


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
