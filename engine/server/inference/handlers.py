"""The service under the protocol's own name: its methods, those that are refused, and what reflection says of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, text_format

from ....proto.inference.v2 import inference_pb2 as pb
from ....proto.inference.v2 import inference_pb2_grpc as pb_grpc

PACKAGE = "inference"
SERVICE_NAME = f"{PACKAGE}.GRPCInferenceService"

_MEMORY = "clients can not have this server open regions of memory; tensors in the messages would work"
_SETTINGS = "clients neither trace this server nor change what it logs"
_REFUSED = {
    "SystemSharedMemoryStatus": _MEMORY,
    "SystemSharedMemoryRegister": _MEMORY,
    "SystemSharedMemoryUnregister": _MEMORY,
    "CudaSharedMemoryStatus": _MEMORY,
    "CudaSharedMemoryRegister": _MEMORY,
    "CudaSharedMemoryUnregister": _MEMORY,
    "TraceSetting": _SETTINGS,
    "LogSettings": _SETTINGS,
}
"""Method -> why it is UNIMPLEMENTED."""


class _Handlers:
    """Stands in for a server where the generated code registers its methods, and keeps them."""

    def __init__(self) -> None:
        self.by_method: dict[str, grpc.RpcMethodHandler] = {}

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """They carry the generated name of the service, which is not the one that clients call."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, grpc.RpcMethodHandler]) -> None:
        self.by_method.update(handlers)


def add_to_server(service: pb_grpc.GRPCInferenceServiceServicer, server: grpc.aio.Server) -> None:
    """Let `server` answer `service`'s methods as those of `inference.GRPCInferenceService`."""
    handlers: Any = _Handlers()
    pb_grpc.add_GRPCInferenceServiceServicer_to_server(service, handlers)
    refused = {name: grpc.unary_unary_rpc_method_handler(_refuse(why)) for name, why in _REFUSED.items()}
    generic = grpc.method_handlers_generic_handler(SERVICE_NAME, {**handlers.by_method, **refused})
    server.add_generic_rpc_handlers((generic,))


def reflection_pool(*files: Any) -> descriptor_pool.DescriptorPool:
    """The file descriptors `files`, and of this service by the protocol's names."""
    pool = descriptor_pool.DescriptorPool()
    added: set[str] = set()
    for file in files:
        _add(pool, file, added)
    definition = descriptor_pb2.FileDescriptorProto()
    pb.DESCRIPTOR.CopyToProto(definition)
    # References to messages hold the package's name too, so it is replaced in all of the text.
    text = text_format.MessageToString(definition).replace(pb.DESCRIPTOR.package, PACKAGE)
    pool.Add(text_format.Parse(text, descriptor_pb2.FileDescriptorProto()))
    return pool


def _add(pool: descriptor_pool.DescriptorPool, file: Any, added: set[str]) -> None:
    if file.name in added:
        return
    added.add(file.name)
    for needed in file.dependencies:
        _add(pool, needed, added)
    definition = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(definition)
    pool.Add(definition)


def _refuse(why: str) -> Callable[[bytes, grpc.aio.ServicerContext], Awaitable[None]]:
    async def refuse(request: bytes, context: grpc.aio.ServicerContext) -> None:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, why)

    return refuse
