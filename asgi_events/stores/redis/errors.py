"""What the errors of redis-py mean to those who use the store."""

import re
import ssl
from typing import Any

from asgi_events.exceptions import StoreError, Unavailable
from asgi_events.stores.redis.driver import exceptions

# These pass when the server has memory, disk or a primary again.
_PASSING = (
    OSError,
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.OutOfMemoryError,
    exceptions.ReadOnlyError,
    exceptions.ClusterDownError,
    exceptions.TryAgainError,
    exceptions.NoScriptError,
)
_PASSING_CODES = (
    "MISCONF",
    "NOREPLICAS",
    "BUSY",
    "UNKILLABLE",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
)

# Within a script the error has no code. The first is Valkey's, the second Redis 7.0's.
_NO_PERMISSION = re.compile(
    "^ACL failure in script|^The user executing the script can't"
)

# The certificate does not name the host, or its IP address.
_MISMATCHES = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH


def is_no_permission(reply: Any) -> bool:
    """Whether a reply is the error that the user lacks a permission."""
    return isinstance(reply, exceptions.NoPermissionError) or (
        isinstance(reply, Exception) and bool(_NO_PERMISSION.search(str(reply)))
    )


def explain(error: Exception) -> Exception:
    """``error`` in our own words: ``Unavailable`` if it may pass, else ``StoreError``.

    A wrong password and a missing permission may pass, since somebody may be changing
    them. An error that is neither redis-py's nor the network's is returned as it is.
    """
    if isinstance(
        error, (exceptions.AuthenticationError, exceptions.AuthorizationError)
    ):
        return Unavailable(
            f"The store does not let us in: {error}. "
            "Look at the user and the password in its URL."
        )
    if is_no_permission(error):
        return Unavailable(
            f"The store's user lacks a permission: {error}. "
            "asgi_events.stores.redis says which it needs."
        )
    if isinstance(error.__context__, ssl.SSLCertVerificationError):
        return _explain_certificate(error, error.__context__.verify_code)
    if isinstance(error, exceptions.AskError):  # MovedError is one, too
        return StoreError(
            "The store's URL leads to one node of a cluster that has several, and this "
            "log is on another one; use a server without cluster mode, or a proxy."
        )
    if isinstance(error, TimeoutError) and not str(error):
        return Unavailable("The store did not answer in time.")
    if isinstance(error, _PASSING) or str(error).startswith(_PASSING_CODES):
        return Unavailable(f"The store cannot answer now: {error}")
    if isinstance(error, exceptions.RedisError):
        return StoreError(f"The store refused: {error}")
    return error


def _explain_certificate(error: Exception, verify_code: int) -> StoreError:
    if verify_code in _MISMATCHES:
        return StoreError(
            f"The store's server is not the one its URL names: {error} "
            "Name it as its certificate does."
        )
    return StoreError(
        f"This machine does not trust the store's server: {error} "
        "Name its authority in the URL: rediss://…?ssl_ca_certs=/path/to/ca.pem"
    )
