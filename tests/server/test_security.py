"""Who gets in: certificates, tokens and permissions over real connections, and what a server refuses to start with."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

from tests.patience import PATIENCE_S
from wavetile.clients import StreamClient
from wavetile.engine.errors import ServerError, SignalError, WavetileError
from wavetile.engine.server import Security, Server, ServerOptions
from wavetile.engine.server.callers import METHODS, Permission, Requirement, requirement
from wavetile.proto.inference.v2 import inference_pb2
from wavetile.proto.v1 import wavetile_pb2 as pb

from .fakes import HOP, GainModel
from .guards import Files, make_files, write_tokens
from .running import audio_of, process, serving

SAMPLES = np.arange(4 * HOP, dtype=np.float32) / 1000


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("certificates"))


async def assert_works(client: StreamClient) -> None:
    """The client lists the models and streams; the numbers are right."""
    assert [model.name for model in await client.list_models()] == ["gain"]
    results = await process(client, SAMPLES, HOP)
    np.testing.assert_array_equal(audio_of(results)[HOP:], 0.5 * SAMPLES)


async def refused(client: StreamClient) -> ServerError:
    """How the client's stream is refused."""
    with pytest.raises(ServerError) as caught:
        async with client.stream("gain"):
            pass
    return caught.value


async def test_tls_shows_the_server_to_its_clients(files: Files) -> None:
    async with serving({"gain": GainModel()}, security=files.tls()) as server:
        async with StreamClient(server.address, ca=files.server_ca) as client:
            await assert_works(client)
        async with StreamClient(server.address, ca=files.client_ca, timeout_s=3.0) as wary:
            assert (await refused(wary)).code == "UNAVAILABLE"
        async with StreamClient(server.address, ca="system", timeout_s=3.0) as wary:
            assert (await refused(wary)).code == "UNAVAILABLE"
        async with StreamClient(server.address, timeout_s=3.0) as plain:
            assert (await refused(plain)).code == "UNAVAILABLE"


async def test_mutual_tls_lets_in_whom_the_authority_signed(files: Files) -> None:
    known: Any = {"cert": files.client_cert, "key": files.client_key}
    stranger: Any = {"cert": files.stranger_cert, "key": files.stranger_key}
    async with serving({"gain": GainModel()}, security=files.tls(client_ca=files.client_ca)) as server:
        for nobody in (stranger, {}):
            async with StreamClient(server.address, ca=files.server_ca, timeout_s=3.0, **nobody) as client:
                assert (await refused(client)).code == "UNAVAILABLE"
        async with StreamClient(server.address, ca=files.server_ca, **known) as client:
            await assert_works(client)


async def test_a_token_opens_what_it_permits(tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "tokens", ada="stream", bob="infer administer")
    async with serving({"gain": GainModel()}, security=Security(tokens=tmp_path / "tokens")) as server:
        async with StreamClient(server.address, token=tokens["ada"]) as client:
            await assert_works(client)
        async with StreamClient(server.address, token=tokens["bob"]) as client:
            assert [model.name for model in await client.list_models()] == ["gain"]
            error = await refused(client)
            assert str(error) == "PERMISSION_DENIED: this caller may not make this call"
        for wrong in (None, "", "no-such-token", tokens["ada"][:-1], tokens["ada"] + " ", "a" * 9000):
            async with StreamClient(server.address, token=wrong) as client:
                error = await refused(client)
                assert str(error) == "UNAUTHENTICATED: this call needs a valid bearer token"
                with pytest.raises(ServerError, match=r"^UNAUTHENTICATED: this call needs a valid bearer token$"):
                    await client.list_models()
        assert server.live_streams == 0


async def test_what_is_for_this_machine_goes_through_no_proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not even where the environment names one: a token would leave the machine in the clear."""
    asked = asyncio.Event()
    proxy = await asyncio.start_server(lambda reader, writer: asked.set(), "127.0.0.1", 0)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
    tokens = write_tokens(tmp_path / "tokens", ada="stream")
    async with (
        proxy,
        serving({"gain": GainModel()}, security=Security(tokens=tmp_path / "tokens"), max_load=0.7) as server,
        StreamClient(server.address, token=tokens["ada"], timeout_s=PATIENCE_S) as client,
    ):
        await assert_works(client)
    assert not asked.is_set()


async def test_certificate_and_token_are_both_asked_for(files: Files, tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "tokens", ada="stream")
    security = files.tls(client_ca=files.client_ca, tokens=tmp_path / "tokens")
    guarded: Any = {"ca": files.server_ca, "cert": files.client_cert, "key": files.client_key}
    async with serving({"gain": GainModel()}, security=security) as server:
        async with StreamClient(server.address, ca=files.server_ca, token=tokens["ada"], timeout_s=3.0) as client:
            assert (await refused(client)).code == "UNAVAILABLE"
        async with StreamClient(server.address, **guarded) as client:
            assert (await refused(client)).code == "UNAUTHENTICATED"
        async with StreamClient(server.address, token=tokens["ada"], **guarded) as client:
            await assert_works(client)


async def test_a_client_whose_token_was_refused_comes_back_with_another(tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "tokens", ada="stream")
    given = iter(["old", "older", *[tokens["ada"]] * 3])
    async with (
        serving({"gain": GainModel()}, security=Security(tokens=tmp_path / "tokens")) as server,
        StreamClient(server.address, token=lambda: next(given)) as client,
    ):
        for _ in range(2):
            assert (await refused(client)).code == "UNAUTHENTICATED"
        for _ in range(3):
            await process(client, SAMPLES, HOP)


@pytest.mark.parametrize(
    "metadata",
    [
        [("authorization", "Bearer {token}"), ("authorization", "Bearer {token}")],
        [("authorization", "Basic {token}")],
        [("authorization", "{token}")],
        [("authorization", "Bearer  {token}")],
        [("authorization-bin", b"Bearer {token}")],
    ],
)
async def test_a_token_in_another_form_is_none(tmp_path: Path, metadata: list[tuple[str, Any]]) -> None:
    token = write_tokens(tmp_path / "tokens", ada="stream")["ada"]
    filled = [(key, value.replace("{token}", token) if isinstance(value, str) else value) for key, value in metadata]
    async with (
        serving({"gain": GainModel()}, security=Security(tokens=tmp_path / "tokens")) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        call: Any = channel.unary_unary("/wavetile.v1.StreamService/ListModels")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"", metadata=filled)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_health_is_open_and_nothing_else(tmp_path: Path) -> None:
    token = write_tokens(tmp_path / "tokens", ada="infer")["ada"]
    bearer = [("authorization", f"Bearer {token}")]
    async with (
        serving({"gain": GainModel()}, security=Security(tokens=tmp_path / "tokens")) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        stub: Any = health_pb2_grpc.HealthStub(channel)
        response = await stub.Check(health_pb2.HealthCheckRequest())
        assert response.status == health_pb2.HealthCheckResponse.SERVING
        mirror: Any = reflection_pb2_grpc.ServerReflectionStub(channel)  # pyright: ignore[reportArgumentType] - typed for the sync API
        question = reflection_pb2.ServerReflectionRequest(list_services="")
        assert (await status(stub.Watch(health_pb2.HealthCheckRequest()))) is grpc.StatusCode.UNAUTHENTICATED
        assert (await status(mirror.ServerReflectionInfo(iter([question])))) is grpc.StatusCode.UNAUTHENTICATED
        assert (await status(mirror.ServerReflectionInfo(iter([question]), metadata=bearer))) is grpc.StatusCode.OK
        # A method that nobody has listed: it can not be told from one that is there.
        unknown: Any = channel.unary_stream("/wavetile.v1.StreamService/Destroy")
        assert (await status(unknown(b""))) is grpc.StatusCode.UNAUTHENTICATED
        assert (await status(unknown(b"", metadata=bearer))) is grpc.StatusCode.PERMISSION_DENIED


async def status(call: Any) -> grpc.StatusCode:
    """With which status a call of streams ends."""
    async with asyncio.timeout(PATIENCE_S):
        with suppress(grpc.aio.AioRpcError):
            _ = [response async for response in call]
        return await call.code()


def test_every_method_of_the_server_is_listed() -> None:
    services = (
        pb.DESCRIPTOR.services_by_name["StreamService"],
        health_pb2.DESCRIPTOR.services_by_name["Health"],
        reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"],
    )
    assert [service.full_name for service in services[1:]] == [health.SERVICE_NAME, reflection.SERVICE_NAME]
    methods = {f"/{service.full_name}/{method.name}" for service in services for method in service.methods}
    # Its generated name is not the one that clients call.
    protocol = inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    methods |= {f"/inference.{protocol.name}/{method.name}" for method in protocol.methods}
    assert methods - set(METHODS) == set()
    assert requirement("/wavetile.v1.StreamService/Destroy") is Permission.ADMINISTER
    open_to_all = {method.rsplit("/")[-1] for method, needed in METHODS.items() if needed is Requirement.NOTHING}
    assert open_to_all == {"Check", "ServerLive", "ServerReady"}


@pytest.mark.parametrize(
    ("host", "given", "reason"),
    [
        (
            "0.0.0.0",
            (),
            r"TLS \(--tls-cert and --tls-key\) and to know its callers \(--client-ca, --tokens or --jwks\)",
        ),
        ("::", ("tls",), r"where this server needs to know its callers \(--client-ca, --tokens or --jwks\)"),
        ("192.0.2.1", ("tokens",), r"where this server needs TLS \(--tls-cert and --tls-key\); --host 127.0.0.1 would"),
        ("", (), "can be reached from other machines"),
        ("example.org", (), "can be reached from other machines"),
        ("127.0.0.1,0.0.0.0", (), "can be reached from other machines"),
        ("::ffff:192.0.2.1", (), "--insecure listens none the less"),
    ],
)
async def test_beyond_this_machine_a_server_must_be_guarded(
    files: Files, tmp_path: Path, host: str, given: tuple[str, ...], reason: str
) -> None:
    write_tokens(tmp_path / "tokens", ada="stream")
    security = Security(
        tls_cert=files.server_cert if "tls" in given else None,
        tls_key=files.server_key if "tls" in given else None,
        tokens=tmp_path / "tokens" if "tokens" in given else None,
    )
    with pytest.raises(WavetileError, match=reason):
        await Server({}, ServerOptions(host=host, port=0, security=security)).start()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_this_machine_needs_no_guard(host: str) -> None:
    Security().check(host)


async def test_a_guarded_server_listens_everywhere_and_so_does_an_insecure_one(files: Files, tmp_path: Path) -> None:
    token = write_tokens(tmp_path / "tokens", ada="stream")["ada"]
    guarded = files.tls(tokens=tmp_path / "tokens")
    async with (
        serving({"gain": GainModel()}, host="0.0.0.0", security=guarded) as server,
        StreamClient(f"127.0.0.1:{server.port}", ca=files.server_ca, token=token) as client,
    ):
        await assert_works(client)
    async with serving({"gain": GainModel()}, host="0.0.0.0", security=Security(insecure=True)) as server:
        async with StreamClient(f"127.0.0.1:{server.port}") as client:
            await assert_works(client)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            unlisted: Any = channel.unary_stream("/wavetile.v1.StreamService/Destroy")
            assert (await status(unlisted(b""))) is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"tls_key": None}, "belong together: --tls-cert and --tls-key"),
        ({"tls_cert": None, "tls_key": None, "client_ca": "client_ca"}, "over TLS only"),
        ({"tls_cert": "missing"}, "the certificate .*missing can not be read: No such file"),
        ({"tls_key": "stranger_key"}, "are no certificate and its private key"),
        ({"tls_cert": "text"}, "are no certificate and its private key"),
        ({"tls_key": "text"}, "are no certificate and its private key"),
        ({"tls_key": "readable"}, r"can be read or written by every user of this machine \(mode 644\); `chmod 600"),
        ({"client_ca": "text"}, "holds no certificate in PEM"),
        ({"tokens": "readable"}, r"the token file .* can be read or written by every user"),
        ({"tokens": "text"}, "line 1: this is no line of a token file; NAME PERMISSIONS sha256:DIGEST would work"),
        ({"tokens": "greedy"}, "line 2: the second word is no list of permissions"),
        ({"tokens": "empty"}, "has no token; `wavetile token NAME --file .*empty` adds one"),
        ({"jwt_issuer": "us"}, "without their keys; --jwks FILE would work"),
    ],
)
async def test_files_that_are_not_what_they_should_be(
    files: Files, tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    made = {
        "text": "secret-words",
        "readable": files.server_key.read_text(),
        "empty": "# nobody\n",
        "greedy": f"a stream sha256:{'0' * 64}\nb all sha256:{'0' * 64}\n",
    }
    for name, text in made.items():
        (tmp_path / name).touch(mode=0o644 if name == "readable" else 0o600)
        (tmp_path / name).write_text(text)
    files_here = {"client_ca": files.client_ca, "stranger_key": files.stranger_key}
    named = {
        field: files_here.get(value, value if field == "jwt_issuer" else tmp_path / value) if value else None
        for field, value in change.items()
    }
    security = Security(**{"tls_cert": files.server_cert, "tls_key": files.server_key, **named})
    with pytest.raises(WavetileError, match=reason) as caught:
        await Server({}, ServerOptions(port=0, security=security)).start()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "given", "reason"),
    [
        ("example.org:50051", {"token": "t"}, "a token would go to example.org:50051 in the clear"),
        ("10.0.0.1:50051", {"token": "t"}, "in the clear"),
        ("127.0.0.1:1", {"cert": "c"}, "belong together"),
        ("127.0.0.1:1", {"cert": "c", "key": "k"}, "over TLS only"),
    ],
)
def test_a_client_does_not_give_itself_away(address: str, given: dict[str, str], reason: str) -> None:
    with pytest.raises(SignalError, match=reason):
        StreamClient(address, **given)  # pyright: ignore[reportArgumentType] - each by its name


async def test_a_client_says_which_file_is_wrong(files: Files, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text")
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"ca": tmp_path / "none"}, "none can not be read: No such file"),
        ({"ca": tmp_path / "text"}, "text holds no certificate in PEM"),
        ({"ca": files.server_ca, "cert": files.client_cert, "key": files.server_key}, "are no certificate and its"),
    ]
    for given, reason in wrong:
        with pytest.raises(SignalError, match=reason):
            await StreamClient("127.0.0.1:1", **given).__aenter__()
