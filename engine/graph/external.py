"""Weights kept in files beside the network: read through open file descriptors, so that no check can be raced."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath

from onnx import ModelProto, TensorProto
from onnx.external_data_helper import ExternalDataInfo

from ..errors import ModelError
from .limits import Limits, tensor_bytes, tensors_of


def is_external(tensor: TensorProto) -> bool:
    """Return whether the tensor's bytes lie in another file."""
    return tensor.data_location == TensorProto.EXTERNAL


def load_external_data(model: ModelProto, folder: Path | None, limits: Limits) -> None:
    """Replace every external tensor of `model` by one that holds its bytes, read from below `folder`.

    Refused (ModelError): absolute paths, '..', links of any kind on the way, anything but regular files,
    ranges outside the file or unlike the tensor's size. Sizes have been checked against `limits` before.
    """
    for tensor in tensors_of(model):
        if not is_external(tensor):
            continue
        if folder is None:
            raise ModelError(f"tensor '{tensor.name}' has external data, but a network given as bytes has no folder")
        tensor.raw_data = read_tensor(tensor, folder, limits)
        tensor.ClearField("external_data")
        tensor.data_location = TensorProto.DEFAULT


def refuse_external_data(model: ModelProto) -> None:
    """Raise ModelError if any tensor lies in another file."""
    for tensor in tensors_of(model):
        if is_external(tensor):
            raise ModelError(
                f"tensor '{tensor.name}' keeps its data in another file, which is off by default; for a network that "
                "you trust call load_network(path, external_data=True)"
            )


def read_tensor(tensor: TensorProto, folder: Path, limits: Limits) -> bytes:
    """Return the bytes of one external tensor."""
    what = f"external data of tensor '{tensor.name}'"
    try:
        info = ExternalDataInfo(tensor)
        offset, length = int(info.offset or 0), info.length
    except (TypeError, ValueError) as error:
        raise ModelError(f"{what} has an offset or length that can not be used: {error}") from None
    expected = tensor_bytes(tensor, limits)
    if length is not None and int(length) != expected:
        raise ModelError(f"{what} has length {length}, but its type and dimensions take {expected} bytes")
    descriptor = open_below(folder, info.location, what)
    try:
        status = os.fstat(descriptor)
        check_regular(status, f"{what}: '{info.location}'")
        if offset < 0 or offset + expected > status.st_size:
            raise ModelError(
                f"{what} is bytes {offset} to {offset + expected} of '{info.location}', which has {status.st_size}"
            )
        return read_range(descriptor, offset, expected, what)
    finally:
        os.close(descriptor)


def open_below(folder: Path, location: str, what: str) -> int:
    """Open `location` below `folder`, one path step at a time and never through a link; return the descriptor."""
    parts = PurePosixPath(location).parts
    if not parts or "\\" in location or "\0" in location:
        raise ModelError(f"{what} names the file '{location!r}', which is not a relative path")
    if PurePosixPath(location).is_absolute():
        raise ModelError(f"{what} names the absolute path '{location}'; only files below the network's folder are read")
    if ".." in parts:
        raise ModelError(f"{what} names '{location}', which leaves the network's folder by '..'")
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for step, part in enumerate(parts):
        last = step == len(parts) - 1
        try:
            below = os.open(part, flags if last else flags | os.O_DIRECTORY, dir_fd=descriptor)
        except OSError as error:
            raise ModelError(
                f"{what}: can not open '{location}' below the network's folder ({error.strerror}); "
                "it must exist and no part of its path may be a link"
            ) from None
        finally:
            os.close(descriptor)
        descriptor = below
    return descriptor


def check_regular(status: os.stat_result, what: str) -> None:
    """Raise ModelError unless the opened file is a regular one under one name."""
    if not stat.S_ISREG(status.st_mode):
        raise ModelError(f"{what} is not a regular file")
    if status.st_nlink > 1:
        raise ModelError(f"{what} has {status.st_nlink} names (hard links); copy it, so that it has one")


def read_range(descriptor: int, offset: int, length: int, what: str) -> bytes:
    """Read exactly `length` bytes at `offset`."""
    pieces = []
    while length:
        piece = os.pread(descriptor, length, offset)
        if not piece:
            raise ModelError(f"{what} ended early: the file shrank while it was read")
        pieces.append(piece)
        offset += len(piece)
        length -= len(piece)
    return b"".join(pieces)
