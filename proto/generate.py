"""Regenerates the committed protobuf and gRPC stubs: `python -m wavetile.proto.generate`.

The stubs demand at run time at least the versions that generated them, so they come from an old generator on purpose:
GENERATOR is the newest grpcio-tools whose stubs run on protobuf 5, 6 and 7, which other packages in a user's
environment may pin.
"""

from __future__ import annotations

import sys
import tempfile
from importlib import metadata, resources
from pathlib import Path

GENERATOR = "1.71.2"
PROTO_FOLDER = Path(__file__).resolve().parent
SOURCES = ("v1/wavetile.proto", "inference/v2/inference.proto")


def generate(destination: Path) -> None:
    """Write the stubs of every source into `destination`/wavetile/proto/...

    Raises ImportError without grpcio-tools, RuntimeError when protoc refuses.
    """
    from grpc_tools import protoc

    arguments = [
        "protoc",
        # A virtual path: the generated code then says `from wavetile.proto.v1 import ...`.
        f"-Iwavetile/proto={PROTO_FOLDER}",
        f"-I{resources.files('grpc_tools') / '_proto'}",
        f"--python_out={destination}",
        f"--pyi_out={destination}",
        f"--grpc_python_out={destination}",
        *(f"wavetile/proto/{source}" for source in SOURCES),
    ]
    status = protoc.main(arguments)
    if status != 0:
        raise RuntimeError(f"protoc ended with status {status}")


def main() -> int:
    """Regenerate the committed stubs in place; refuses any generator but GENERATOR."""
    try:
        installed = metadata.version("grpcio-tools")
    except metadata.PackageNotFoundError:
        installed = "not installed"
    if installed != GENERATOR:
        print(
            f"grpcio-tools is {installed}; the stubs are made by: pip install grpcio-tools=={GENERATOR}",
            file=sys.stderr,
        )
        return 1
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        for stub in sorted(Path(folder).rglob("*.py*")):
            target = PROTO_FOLDER / stub.relative_to(Path(folder) / "wavetile" / "proto")
            target.write_bytes(stub.read_bytes())
            print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
