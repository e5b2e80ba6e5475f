"""Certificates for 127.0.0.1: one of an authority that is trusted, one of another."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.servers import require


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key, in one file.

    Attributes:
        file: The file; who trusts it trusts this server.
    """

    file: Path

    def server(self) -> ssl.SSLContext:
        """What a server needs to speak TLS with it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file)
        return context


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
        + ["-keyout", str(file), "-out", str(folder / f"{name}.crt")],
        check=True,
        capture_output=True,
    )
    with file.open("a") as both:
        both.write((folder / f"{name}.crt").read_text())
    return Certificate(file)
