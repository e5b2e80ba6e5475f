"""A real nginx before a server, with its default buffering."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.servers import TIMEOUT, require

_CONFIG = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{upstream};
            {settings}
        }}
    }}
}}
"""


class Nginx:
    """``with Nginx(server.port, settings="proxy_http_version 1.1;") as nginx``.

    Attributes:
        port: The port of 127.0.0.1 on which it listens.
    """

    def __init__(self, upstream: int, settings: str = "") -> None:
        self.upstream = upstream
        self.settings = settings
        self.port = 0

    def __enter__(self) -> Self:
        program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")
        require(program, "nginx is not installed")
        self._folder = tempfile.TemporaryDirectory()
        # nginx does not accept port 0. This port is free now, and very likely later.
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        config = Path(self._folder.name, "nginx.conf")
        config.write_text(
            _CONFIG.format(
                folder=self._folder.name,
                port=self.port,
                upstream=self.upstream,
                settings=self.settings,
            )
        )
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [str(program), "-c", str(config), "-e", "stderr"],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        try:
            self._wait_until_it_listens()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def _wait_until_it_listens(self) -> None:
        deadline = time.monotonic() + TIMEOUT
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except ConnectionRefusedError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self._log.seek(0)
                    pytest.fail(f"nginx did not start.\n{self._log.read().decode()}")
                time.sleep(0.02)
            else:
                return

    def _stop(self) -> None:
        self._process.terminate()
        self._process.wait(TIMEOUT)
        self._log.close()
        self._folder.cleanup()
