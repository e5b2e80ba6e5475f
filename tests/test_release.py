"""What a release says of itself."""

import re
from pathlib import Path

import asgi_events

ROOT = Path(__file__).parents[1]


def test_is_the_newest_version_of_the_changelog() -> None:
    headings = re.findall(
        r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    released = [heading for heading in headings if heading != "Unreleased"]

    assert headings[0] == "Unreleased"
    assert released[:1] in ([], [asgi_events.__version__])
