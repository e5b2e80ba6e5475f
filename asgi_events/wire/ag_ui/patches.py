"""JSON Patch: the change from one JSON document to another one.

Spec: RFC 6902. This module alone imports ``jsonpatch``, which the extra ``ag-ui``
brings. Without it there are no patches, and the caller sends the whole document.
"""

from importlib import import_module
from typing import Any


def _library() -> Any:
    try:
        return import_module("jsonpatch")
    except ImportError:
        return None


_jsonpatch = _library()


def patch(before: Any, after: Any) -> list[dict[str, Any]] | None:
    """Return the operations that make ``after`` of ``before``, an empty list for none.

    None says that there is no patch: both are not objects, or not arrays, or the
    library is not installed or fails.
    """
    if _jsonpatch is None or not _are_alike(before, after):
        return None
    try:
        made = _jsonpatch.JsonPatch.from_diff(before, after)
        made_of_it = made.apply(before)
    except Exception:  # a fault of the library must not end a stream
        return None
    operations: list[dict[str, Any]] = made.patch
    return operations if made_of_it == after else None


def _are_alike(before: Any, after: Any) -> bool:
    both = (before, after)
    return all(isinstance(each, dict) for each in both) or all(
        isinstance(each, list) for each in both
    )
