"""The committed stubs are those of the committed .proto."""

from __future__ import annotations

import ast
from importlib import metadata
from pathlib import Path

import pytest

from wavetile.proto.generate import GENERATOR, PROTO_FOLDER, generate

# Source without its suffix, and one method of its service.
SOURCES = {
    "v1/wavetile": "/wavetile.v1.StreamService/Stream",
    "inference/v2/inference": "/wavetile.inference.v2.GRPCInferenceService/ModelInfer",
}
STUBS = [f"{source}{suffix}" for source in SOURCES for suffix in ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py")]


@pytest.fixture
def generated(tmp_path: Path) -> Path:
    pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed, so stubs can not be generated to compare")
    generate(tmp_path)
    return tmp_path / "wavetile" / "proto"


def descriptor_of(stub: Path) -> bytes:
    """The serialized file descriptor that a generated module registers."""
    for node in ast.walk(ast.parse(stub.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "AddSerializedFile":
            return ast.literal_eval(node.args[0])
    raise AssertionError(f"{stub} registers no descriptor")


def methods_of(stub: Path) -> list[str]:
    """The full names of the methods that a generated service speaks of."""
    nodes = ast.walk(ast.parse(stub.read_text()))
    names = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return sorted(name for name in names if name.startswith("/wavetile."))


@pytest.mark.parametrize(("source", "method"), SOURCES.items())
def test_messages_and_methods_are_current(generated: Path, source: str, method: str) -> None:
    """Holds for any generator: the descriptor is the contract, the code around it differs from version to version."""
    messages, services = f"{source}_pb2.py", f"{source}_pb2_grpc.py"
    assert descriptor_of(PROTO_FOLDER / messages) == descriptor_of(generated / messages)
    methods = methods_of(PROTO_FOLDER / services)
    assert methods == methods_of(generated / services)
    assert method in methods


@pytest.mark.parametrize("name", STUBS)
def test_stubs_are_byte_for_byte_current(generated: Path, name: str) -> None:
    installed = metadata.version("grpcio-tools")
    if installed != GENERATOR:
        pytest.skip(f"grpcio-tools is {installed}; the committed stubs are made by {GENERATOR}")
    assert (PROTO_FOLDER / name).read_bytes() == (generated / name).read_bytes()


def test_stubs_run_on_the_declared_floors() -> None:
    """What the stubs demand of protobuf and grpcio is what the package asks for."""
    requires = (
        " ".join(metadata.requires("wavetile") or [])
        if _is_installed()
        else (PROTO_FOLDER.parent / "pyproject.toml").read_text()
    )
    for source in SOURCES:
        assert f"GRPC_GENERATED_VERSION = '{GENERATOR}'" in (PROTO_FOLDER / f"{source}_pb2_grpc.py").read_text()
        assert "Protobuf Python Version: 5.29.0" in (PROTO_FOLDER / f"{source}_pb2.py").read_text()
    assert f"grpcio>={GENERATOR}" in requires or f"grpcio<2,>={GENERATOR}" in requires
    assert "protobuf>=5.29" in requires or "protobuf<8,>=5.29" in requires


def _is_installed() -> bool:
    try:
        metadata.version("wavetile")
    except metadata.PackageNotFoundError:
        return False
    return True
