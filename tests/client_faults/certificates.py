"""Certificates for 127.0.0.1: one of an authority that is trusted, one of another."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from tests.client_faults.clients import Client
from tests.client_faults.judge import judge
from tests.client_faults.log import Log
from tests.client_faults.row import Failure, Question, Row
from tests.servers import require


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key, in one file.

    Attributes:
        file: The file.
    """

    file: Path

    def server(self) -> ssl.SSLContext:
        """What a server needs to speak TLS with it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file)
        return context


@dataclass(frozen=True, slots=True)
class Certificates:
    """One of each kind.

    Attributes:
        right: It is trusted.
        other: It is not.
        elsewhere: It is trusted, and another host's.
        trusted: The file with those that are trusted.
    """

    right: Certificate
    other: Certificate
    elsewhere: Certificate
    trusted: Path


def make_all(folder: Path) -> Certificates:
    """Make one of each kind, in files of a folder."""
    right, other = make(folder, "right"), make(folder, "other")
    elsewhere = make(folder, "elsewhere", host="DNS:example.com")
    trusted = folder / "trusted.crt"
    found = [(folder / f"{name}.crt").read_text() for name in ("right", "elsewhere")]
    trusted.write_text("".join(found))
    return Certificates(right, other, elsewhere, trusted)


def make(folder: Path, name: str, *, host: str = "IP:127.0.0.1") -> Certificate:
    """Make a certificate that has signed itself.

    Args:
        folder: Where its file is written.
        name: The name of the file.
        host: Whose certificate it is.
    """
    require(shutil.which("openssl"), "openssl is not installed")
    file = folder / f"{name}.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"]
        + ["ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        + ["-subj", f"/CN={name}", "-addext", f"subjectAltName={host}"]
        + ["-addext", "keyUsage=critical,digitalSignature,keyCertSign"]
        + ["-keyout", str(file), "-out", str(folder / f"{name}.crt")],
        check=True,
        capture_output=True,
    )
    with file.open("a") as both:
        both.write((folder / f"{name}.crt").read_text())
    return Certificate(file)


async def trust(
    client: Client, certificates: Certificates, log: Log
) -> dict[str, list[str]]:
    """Return the complaints about whom a client trusts."""
    ask = Question(trust=str(certificates.trusted))
    failure = Failure("Unreachable or ClientError", ("certificate",))

    def wrong(name: str, ask: Question) -> Row:
        return Row(name=name, ask=ask, seen=lambda log: [], failure=failure, waits=[])

    right, other, elsewhere = (
        each.server()
        for each in (certificates.right, certificates.other, certificates.elsewhere)
    )
    starts = replace(ask, verb="start")
    return {
        **await judge(client, [Row(name="the right one", ask=ask)], log, right),
        **await judge(
            client,
            [wrong("another one", ask), wrong("another one, a start", starts)],
            log,
            other,
        ),
        **await judge(client, [wrong("one of another host", ask)], log, elsewhere),
    }
