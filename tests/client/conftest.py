"""What the tests of the clients share."""

import ssl
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def one_certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of one of the authorities of the system."""
    authorities = ssl.create_default_context().get_ca_certs(binary_form=True)
    file = tmp_path_factory.mktemp("certificates") / "one.pem"
    file.write_text("".join(map(ssl.DER_cert_to_PEM_cert, authorities[:1])))
    return file


@pytest.fixture(autouse=True)
def few_certificates(monkeypatch: pytest.MonkeyPatch, one_certificate: Path) -> None:
    """Each client loads one authority: to load all of them takes 30 ms."""
    if one_certificate.stat().st_size:
        monkeypatch.setenv("SSL_CERT_FILE", str(one_certificate))
