"""What a release says of itself."""

import json
import re
from pathlib import Path

import asgi_events

ROOT = Path(__file__).parents[1]

CLIENT = ROOT / "clients" / "typescript"


def test_is_the_newest_version_of_the_changelog() -> None:
    headings = re.findall(
        r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    released = [heading for heading in headings if heading != "Unreleased"]

    assert headings[0] == "Unreleased"
    assert released[:1] in ([], [asgi_events.__version__])


def test_has_one_version_with_the_typescript_client() -> None:
    package = json.loads((CLIENT / "package.json").read_text())
    lock = json.loads((CLIENT / "package-lock.json").read_text())
    found = {package["version"], lock["version"], lock["packages"][""]["version"]}

    assert found == {asgi_events.__version__}
