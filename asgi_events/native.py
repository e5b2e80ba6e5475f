"""What a class tells mypyc, which compiles some modules; see docs/release.md.

In pure Python it has no effect. The package ``mypy_extensions``, from which mypyc knows
it, is not needed where nothing is compiled, nor where something was.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T")

if TYPE_CHECKING:
    from mypy_extensions import mypyc_attr as mypyc_attr
else:

    def mypyc_attr(**options: Any) -> Callable[[T], T]:
        """Return the class as it is."""
        return lambda this: this
