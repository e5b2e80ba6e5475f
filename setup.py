"""Compiles the path of an event, if ``ASGI_EVENTS_COMPILE=1``; see docs/release.md.

Without it nothing is built: the package stays pure Python. All else is in setup.cfg.
"""

import os
import sys
import tempfile
from sysconfig import get_config_var

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.config.setupcfg import read_configuration
from setuptools.errors import BaseError, CCompilerError

SWITCH = "ASGI_EVENTS_COMPILE"

MODULES = (
    "asgi_events/log/cursor.py",
    "asgi_events/log/log.py",
    "asgi_events/log/stored.py",
    "asgi_events/log/writer.py",
    "asgi_events/wire/encoding.py",
    "asgi_events/wire/window.py",
)

COMPILER = "mypy >= 2.4, < 2.5"
NEWEST = (3, 14)  # the newest Python that it knows


class Compile(build_ext):
    """Compiles ``MODULES`` from their Python sources, or says in one line why not."""

    def finalize_options(self) -> None:
        if self.inplace or self.editable_mode:
            # An extension beside a source that somebody edits would hide the edits.
            sys.exit(f"{SWITCH}: an editable or in-place build stays pure; unset it.")
        try:
            from mypyc.build import mypycify
        except ImportError:
            sys.exit(f"{SWITCH}: this build needs {COMPILER}, which is not installed.")
        # A module that others type takes Any where a package is not installed here.
        options = ["--config-file=", "--ignore-missing-imports", "--no-incremental"]
        self.distribution.ext_modules = mypycify(
            [*options, *MODULES], group_name="asgi_events", target_dir=fresh
        )
        super().finalize_options()

    def run(self) -> None:
        try:
            super().run()
        except (BaseError, CCompilerError, OSError) as error:
            sys.exit(f"{SWITCH}: this build needs a C compiler, which failed: {error}")


def compiles() -> bool:
    """Whether to compile, as the switch says, and on a Python that can."""
    said = os.environ.get(SWITCH, "0")
    if said not in ("", "0", "1"):
        sys.exit(f"{SWITCH} must be 0 or 1, got {said!r}.")
    if said != "1":
        return False
    is_known = sys.version_info[:2] <= NEWEST and not get_config_var("Py_GIL_DISABLED")
    if sys.implementation.name == "cpython" and is_known:
        return True
    print(f"{SWITCH}: mypyc does not know this Python, so the package stays pure.")
    return False


if not compiles():
    setup()
else:
    typed = read_configuration("setup.cfg")["options"]["install_requires"]
    # Built where nothing of an older build lies about.
    with tempfile.TemporaryDirectory() as fresh:
        setup(
            cmdclass={"build_ext": Compile},
            ext_modules=[Extension("asgi_events__mypyc", [])],  # for the metadata
            options={"build": {"build_base": fresh}},
            setup_requires=[COMPILER, *typed],  # mypyc reads the types of these
        )
