"""Which store a URL opens."""

import sys
from pathlib import Path

import pytest

from asgi_events.cli.inspect import open_existing
from asgi_events.exceptions import StoreError
from asgi_events.stores import open_store
from asgi_events.stores.memory import MemoryStore
from asgi_events.stores.redis import RedisStore
from asgi_events.stores.sqlite import SQLiteStore

TOY = """
from asgi_events.stores.memory import MemoryStore

class ToyStore(MemoryStore):
    def __init__(self, url):
        super().__init__()
        self.url = url

    @classmethod
    def from_url(cls, url):
        return cls(url)

class LastingStore(ToyStore):
    durable = True
"""


def install(
    monkeypatch: pytest.MonkeyPatch, site: Path, package: str, **schemes: str
) -> None:
    """Install a package that brings ``schemes``, as pip does."""
    info = site / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Name: {package}\nVersion: 1.0\n")
    lines = [f"{scheme} = {value}\n" for scheme, value in schemes.items()]
    (info / "entry_points.txt").write_text("".join(["[asgi_events.stores]\n", *lines]))
    (site / f"{package}.py").write_text(TOY)
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, package, raising=False)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(
        monkeypatch,
        tmp_path / "toy",
        "toy_store",
        toy="toy_store:ToyStore.from_url",
        lasting="toy_store:LastingStore",
        memory="toy_store:ToyStore",
    )


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("memory://", MemoryStore),
        ("sqlite:///events.db", SQLiteStore),
        ("redis://127.0.0.1", RedisStore),
        ("rediss://127.0.0.1", RedisStore),
        ("unix:///run/valkey.sock", RedisStore),
    ],
)
def test_opens_our_own_stores_by_their_scheme(url: str, kind: type) -> None:
    assert type(open_store(url)) is kind


@pytest.mark.usefixtures("toy")
def test_opens_the_store_of_an_installed_package() -> None:
    store = open_store("toy://host/path?a=b")

    assert type(store).__name__ == "ToyStore"
    assert vars(store)["url"] == "toy://host/path?a=b"


@pytest.mark.usefixtures("toy")
def test_lets_no_package_replace_a_scheme_of_ours() -> None:
    assert type(open_store("memory://")) is MemoryStore


@pytest.mark.usefixtures("toy")
def test_lists_what_there_is_when_nobody_knows_the_scheme() -> None:
    with pytest.raises(ValueError) as caught:
        open_store("tyo://")

    assert str(caught.value) == (
        "There is no store for 'tyo'; there are memory://, sqlite:///, redis://, "
        "rediss://, unix://, lasting:// (installed), toy:// (installed)"
    )


@pytest.mark.usefixtures("toy")
def test_refuses_a_scheme_that_two_packages_bring(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install(monkeypatch, tmp_path / "other", "other_toy", toy="other_toy:ToyStore")

    with pytest.raises(ValueError, match=r"other_toy:ToyStore, toy_store:ToyStore"):
        open_store("toy://")


@pytest.mark.usefixtures("toy")
def test_inspects_the_store_of_an_installed_package_if_it_lasts() -> None:
    assert type(open_existing("lasting://")).__name__ == "LastingStore"
    with pytest.raises(ValueError, match="toy:// is only seen by the process"):
        open_existing("toy://")


def test_tells_a_file_that_is_there_from_one_that_is_not(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    store = SQLiteStore(path)

    with pytest.raises(StoreError, match="There is no file .*events.db"):
        store.check_exists()
    path.touch()

    store.check_exists()
