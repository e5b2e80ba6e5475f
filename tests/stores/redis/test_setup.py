"""The store of Redis and Valkey: what a server must be and allow."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from shutil import which
from typing import Self

import pytest
from pydantic import BaseModel

from asgi_events import Executions, current_state, tool
from asgi_events.exceptions import (
    Fenced,
    StoreError,
    Unavailable,
)
from asgi_events.stores import Ack
from asgi_events.stores.redis import RedisStore
from asgi_events.stores.redis import server as redis_server
from asgi_events.stores.redis import subscriber as redis_subscriber
from tests.servers import TIMEOUT, require
from tests.stores.redis.links import (
    answered,
    begin,
    held,
    in_thread,
    in_vain,
    kept_reaping,
    limited,
    numbered,
    on_both,
    opened,
    seen,
    until,
    until_subscribed,
)
from tests.valkey import Valkey, held_port

pytestmark = pytest.mark.server


class Noted(BaseModel):
    text: str


class Refusing:
    """A server that refuses every command but INFO, and with what it is told."""

    def __init__(self, error: str) -> None:
        self._error = error
        self._connections: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"redis://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._connections:
            writer.close()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._connections.add(writer)
        info = b"redis_version:7.4.0\r\n"
        while head := await reader.readline():
            parts = []
            for _ in range(int(head[1:])):
                size = int((await reader.readline())[1:])
                parts.append((await reader.readexactly(size + 2))[:-2])
            if parts[0] == b"INFO":
                writer.write(b"$%d\r\n%b\r\n" % (len(info), info))
            elif parts[0] == b"CLIENT":
                writer.write(b"+OK\r\n")
            else:
                writer.write(f"-{self._error}\r\n".encode())


class TestWhatMayPass:
    @pytest.mark.parametrize(
        "error",
        [
            "LOADING Redis is loading the dataset in memory",
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is no",
            "READONLY You can't write against a read only replica.",
            "CLUSTERDOWN The cluster is down",
            "TRYAGAIN Multiple keys request during rehashing of slot",
            "OOM command not allowed when used memory > 'maxmemory'.",
            "MISCONF Redis is configured to save RDB snapshots",
            "NOREPLICAS Not enough good replicas to write.",
            "BUSY Redis is busy running a script.",
            "UNKILLABLE Sorry the script already executed write commands",
            "NOAUTH Authentication required.",
            "WRONGPASS invalid username-password pair or user is disabled.",
            "NOPERM User asgi_events has no permissions to run the 'evalsha' command",
        ],
    )
    async def test_is_not_there_for_now(self, error: str) -> None:
        async with Refusing(error) as server:
            await refuses(server.url, error.partition(" ")[2], for_now=True)

    async def test_is_all_connections_taken(self, server: Valkey) -> None:
        async with opened(server.url) as store:
            with server.client() as client:
                client.config_set("maxclients", 1)
                with pytest.raises(Unavailable):
                    await begin(store)
                client.config_set("maxclients", 100)
            await begin(store)

    async def test_is_a_password_that_is_changed(self, server: Valkey) -> None:
        def change(password: str) -> None:
            with server.client() as client:
                client.execute_command(f"ACL SETUSER u resetpass >{password}")
                client.client_kill_filter(user="u")

        with server.client() as client:
            client.execute_command("ACL SETUSER u on >old allcommands ~* &*")
        async with opened(server.url.replace("//", "//u:old@")) as store:
            grant = await begin(store)
            change("new")
            with pytest.raises(Unavailable):  # the connection is cut
                await store.renew("log", grant)
            with pytest.raises(Unavailable, match="the password in its URL"):
                await store.renew("log", grant)
            change("old")
            assert await store.renew("log", grant) == Ack(0)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Valkey]:
    with (
        Valkey(cluster_enabled="yes", slots=(0, 8000)) as one,
        Valkey(cluster_enabled="yes", slots=(8001, 16383)) as other,
    ):
        one.meet(other)
        yield one


class TestARunningExecution:
    @pytest.mark.parametrize(
        ("refuse", "admit", "complaint"),
        [
            ("resetpass >other", "resetpass >password", "Look at the user and the"),
            ("-evalsha", "+evalsha", "The store's user lacks a permission"),
            ("-xadd", "+xadd", "The store's user lacks a permission"),
            ("-hmget", "+hmget", "The store's user lacks a permission"),
        ],
    )
    async def test_outlives_what_is_refused_for_a_while(
        self,
        server: Valkey,
        caplog: pytest.LogCaptureFixture,
        refuse: str,
        admit: str,
        complaint: str,
    ) -> None:
        @tool
        async def work() -> str:
            await go_on.wait()
            await current_state().publish(Noted(text="meanwhile"))
            await finish.wait()
            return "done"

        def change(words: str) -> None:
            with server.client() as client:
                client.execute_command(f"ACL SETUSER asgi_events {words}")
                client.client_kill_filter(user="asgi_events")

        go_on, finish = asyncio.Event(), asyncio.Event()
        async with Executions(work, store=limited(server)) as executions:
            execution = await executions.start(work)
            viewer = asyncio.create_task(seen(execution))
            change(refuse)
            go_on.set()
            await until(lambda: complaint in caplog.text)
            change(admit)
            finish.set()
            async with asyncio.timeout(TIMEOUT):
                given = await viewer
        assert given.count(b'"text":"meanwhile"') == 1
        assert given.endswith(b'event: end\ndata: {"status":"completed"}\n\n')


class TestAClusterOfSeveralNodes:
    async def test_is_refused(self, cluster: Valkey) -> None:
        await refuses(cluster.url, "over 2 nodes; use a server without cluster mode")

    async def test_is_refused_to_who_may_ask_just_that(self, cluster: Valkey) -> None:
        await refuses(limited(cluster, "+cluster|info"), "over 2 nodes")

    async def test_is_warned_of_where_it_may_not_be_asked(
        self, cluster: Valkey, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with opened(limited(cluster, "-cluster|info")) as store:
            with suppress(StoreError):  # the log may be on the other node
                await begin(store)
        assert "The store's cluster was not checked for its size" in caplog.text


class TestDurability:
    async def test_waits_for_a_replica(self, server: Valkey) -> None:
        url = f"{server.url}?durability=replica&timeout=0.2"
        async with opened(url) as store:
            for _ in range(2):
                await in_vain(lambda: begin(store))
            assert (await answered(lambda: held(store))).last == 0
            replica = Valkey(replicaof=f"127.0.0.1 {server.port}")
            with server.client() as client:
                client.config_set("repl-diskless-sync-delay", 0)
            async with in_thread(replica):
                grant = await answered(lambda: begin(store))
                ack = await answered(lambda: store.append("log", grant, 0, [b"1"]))
                with replica.client() as client:
                    assert client.xlen("asgi_events:{log}:frames") == 1
                assert ack == Ack(1)
                replica.pause()
                await in_vain(lambda: store.append("log", grant, 1, [b"2"]))
                assert await answered(lambda: store.renew("log", grant)) == Ack(2)
                replica.resume()
                assert await answered(
                    lambda: store.append("log", grant, 1, [b"2"])
                ) == Ack(2)

    async def test_has_the_permissions_that_the_documentation_names(
        self, server: Valkey
    ) -> None:
        url = f"{limited(server, '+wait')}?durability=replica&timeout=0.2"
        await refuses(url, "in vain for a replica|in time", for_now=True)


@on_both
class TestPermissions:
    async def test_are_those_the_documentation_names(
        self, server: Valkey, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with opened(limited(server)) as store:
            watch = await store.watch()
            watch.add("log")
            await until_subscribed(server, 1)
            grant = await begin(store)
            await store.append("log", grant, 0, [b"1"])
            await store.mark_watched("log", 5.0)
            await store.cancel("log")
            assert await store.renew("log", grant) == Ack(1, True, True)
            assert (await held(store)).frames == [b"1"]
            assert [key async for key in store.keys()] == ["log"]
            assert await kept_reaping(server, store, "log", after=1) == [True]
            with pytest.raises(Fenced):
                await store.renew("log", grant)
            await store.delete("log")
            watch.discard("log")
            await until_subscribed(server, 0)
        small = RedisStore(limited(server), max_events=4)
        grant = await begin(small, "trimmed")
        await small.append("trimmed", grant, 0, numbered(1, 5))
        await small.aclose()
        assert caplog.messages == []

    async def test_that_lack_are_named(self, server: Valkey) -> None:
        async with opened(limited(server, "-xadd")) as store:
            grant = await begin(store)
            with pytest.raises(Unavailable, match="lacks a permission"):
                await store.append("log", grant, 0, [b"1"])
            limited(server, "+xadd")
            assert await store.append("log", grant, 0, [b"1"]) == Ack(1)

    async def test_without_info_give_a_warning(
        self, server: Valkey, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with opened(limited(server, "-info")) as store:
            await begin(store)
            await begin(store)
        [message] = caplog.messages
        assert message.startswith("The store's server was not checked:")

    async def test_without_ssubscribe_give_one_warning_and_the_poll(
        self,
        server: Valkey,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(redis_subscriber, "_POLL", 0.02)
        async with opened(limited(server, "-ssubscribe")) as store:
            watch = await store.watch()
            watch.add("log")
            async with asyncio.timeout(TIMEOUT):
                for _ in range(5):
                    assert await watch.get() == {"log"}
        [message] = caplog.messages
        assert message.startswith("No hints, so logs are looked at each second:")


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("url", "reason"),
        [
            ("redis://127.0.0.1:port", "the port is a number"),
            ("redis://127.0.0.1:99999", "the port is a number"),
            ("redis://u:sec/ret@127.0.0.1", "the port is a number.*/ is %2F"),
            ("redis://127.0.0.1/events", "the database is a number"),
            ("http://127.0.0.1", "scheme"),
            ("redis://u:secret@127.0.0.1?colour=red", "colour"),
            ("redis://127.0.0.1?db=x", "db"),
            ("redis://127.0.0.1?timeout=soon", "timeout"),
            ("redis://127.0.0.1?timeout=0", "timeout is a number greater than 0"),
            ("redis://127.0.0.1?timeout=inf", "timeout is a number"),
            ("redis://u:secret@h?socket_connect_timeout=x", "socket_connect_timeout"),
            ("redis://u:secret@h?socket_connect_timeout=nan", "socket_connect_timeout"),
            ("redis://u:secret@h?socket_read_size=x", "socket_read_size"),
            ("redis://u:secret@h?retry_on_error=x&retry_on_timeout=1", "append"),
            ("rediss://u:secret@h?ssl_min_version=x", "ssl_min_version"),
            ("redis://u:secret@h?durability=maybe", "'replica', or not given"),
        ],
    )
    def test_is_a_wrong_url(self, url: str, reason: str) -> None:
        with pytest.raises(StoreError, match=reason) as caught:
            RedisStore(url)
        assert "redis://user:password@host:6379/0" in str(caught.value)
        told = "".join(traceback.format_exception(caught.value))
        assert "secret" not in told
        assert "sec/" not in told

    async def test_is_not_an_option_of_the_clients(self, server: Valkey) -> None:
        options = "socket_read_size=1024&socket_connect_timeout=1.5&client_name=me"
        async with opened(f"{server.url}?{options}") as store:
            await begin(store)

    @pytest.mark.parametrize("prefix", ["{a}:", "a*", "[a]"])
    def test_is_a_prefix_that_is_a_pattern(self, prefix: str) -> None:
        with pytest.raises(ValueError, match="prefix"):
            RedisStore("redis://127.0.0.1", prefix=prefix)

    async def test_is_a_wrong_password(self, server: Valkey) -> None:
        with server.client() as client:
            client.execute_command("ACL SETUSER somebody on >right allcommands")
        url = server.url.replace("//", "//somebody:wrong@")
        await refuses(url, "does not let us in.*the password in its URL", for_now=True)

    async def test_is_no_password(self, server: Valkey) -> None:
        with server.client() as client:
            client.config_set("requirepass", "right")
        await refuses(server.url, "does not let us in", for_now=True)

    async def test_is_a_database_that_is_not_there(self, server: Valkey) -> None:
        await refuses(f"{server.url}/99", "out of range")

    async def test_is_another_kind_of_server(self) -> None:
        async def answer(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            await reader.read(100)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        http = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with http:
            port = http.sockets[0].getsockname()[1]
            await refuses(f"redis://127.0.0.1:{port}", "refused")

    async def test_is_an_old_server(
        self, server: Valkey, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(redis_server, "_OLDEST", 9)
        await refuses(server.url, r"Redis 7\..*it has to be Redis 9.0 or newer")

    @pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-lru", "volatile-ttl"])
    async def test_is_an_eviction_policy_that_loses_logs(
        self, server: Valkey, policy: str
    ) -> None:
        with server.client() as client:
            client.config_set("maxmemory-policy", policy)
        async with opened(server.url) as store:  # nothing is evicted without a limit
            await begin(store)
        with server.client() as client:
            client.config_set("maxmemory", "100mb")
        await refuses(
            server.url, rf"{policy}; CONFIG SET maxmemory-policy noeviction\.$"
        )

    async def test_is_not_a_server_that_nobody_reaches(self, server: Valkey) -> None:
        server.kill()
        async with opened(server.url) as store:
            with pytest.raises(Unavailable, match=f"127.0.0.1:{server.port}"):
                await begin(store)

    async def test_is_not_a_server_without_memory(
        self, server: Valkey, store: RedisStore
    ) -> None:
        grant = await begin(store)
        with server.client() as client:
            client.config_set("maxmemory", "1")
            with pytest.raises(Unavailable, match="maxmemory"):
                await store.append("log", grant, 0, [b"1"])
            assert (await held(store)).last == 0
            assert await store.cancel("log")
            client.config_set("maxmemory", "0")
        assert await store.append("log", grant, 0, [b"1"]) == Ack(1, cancel=True)

    def test_is_python_without_redis(self) -> None:
        code = (
            "import sys; sys.modules['redis'] = None; import asgi_events.stores.redis"
        )
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True
        )
        assert 'pip install "asgi-events[redis]"' in run.stderr.splitlines()[-1]


class TestAnEncryptedConnection:
    @pytest.fixture
    def certificate(self, tmp_path: Path) -> Path:
        require(which("openssl"), "openssl is not installed")
        command = "openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256"
        command += " -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
        command += f" -keyout {tmp_path}/key.pem -out {tmp_path}/certificate.pem"
        subprocess.run(command.split(), check=True, capture_output=True)
        return tmp_path / "certificate.pem"

    @pytest.fixture
    def url(self, certificate: Path) -> Iterator[str]:
        options = {
            "tls_cert_file": str(certificate),
            "tls_key_file": str(certificate.with_name("key.pem")),
            "tls_ca_cert_file": str(certificate),
            "tls_auth_clients": "no",
        }
        # The wheel's Valkey has no TLS.
        with (
            held_port() as tls_port,
            Valkey("redis", tls_port=str(tls_port), **options) as server,
        ):
            with server.client() as client:
                port = client.config_get("tls-port")["tls-port"]
            yield f"rediss://127.0.0.1:{port}"

    async def test_works(self, url: str, certificate: Path) -> None:
        async with opened(f"{url}?ssl_ca_certs={certificate}") as store:
            grant = await begin(store)
            assert await store.append("log", grant, 0, [b"1"]) == Ack(1)

    async def test_is_refused_to_whom_nobody_vouches_for(self, url: str) -> None:
        await refuses(url, "does not trust.*certificate verify failed")

    async def test_is_refused_where_the_certificate_is_of_another_host(
        self, url: str, certificate: Path
    ) -> None:
        url = f"{url}?ssl_ca_certs={certificate}".replace("127.0.0.1", "localhost")
        await refuses(url, "not the one its URL names: .*localhost")
        async with opened(f"{url}&ssl_check_hostname=false") as store:
            await begin(store)

    async def test_may_be_without_any_check(self, url: str) -> None:
        async with opened(f"{url}?ssl_cert_reqs=none") as store:
            await begin(store)


async def refuses(url: str, message: str, *, for_now: bool = False) -> None:
    async with opened(url) as store:
        with pytest.raises(StoreError, match=message) as caught:
            await begin(store)
    assert isinstance(caught.value, Unavailable) == for_now
