"""Weights beside the network: read when asked for, and every way out of the folder closed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto
from onnx.helper import make_node

from tests.graph.networks import network_proto
from wavetile.engine.errors import LimitError, ModelError
from wavetile.engine.graph import Limits, load_network

WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)


def external_network(location: str, **entries: str) -> ModelProto:
    """A network whose weight `w` lies in `location`."""
    model = network_proto([make_node("Add", ["x", "w"], ["y"])], {"x": [2, 3]}, ["y"], {"w": WEIGHT})
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    return model


def saved(folder: Path, model: ModelProto) -> Path:
    path = folder / "network.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with weights in it, beside one that a network must not reach."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (inside / "weights.bin").write_bytes(b"\xff" * 8 + WEIGHT.tobytes())
    (outside / "secret.bin").write_bytes(b"\xff" * 8 + WEIGHT.tobytes())
    return inside


def test_is_off_by_default(folder: Path) -> None:
    path = saved(folder, external_network("weights.bin", offset="8"))
    with pytest.raises(ModelError, match=r"tensor 'w' keeps its data in another file.*external_data=True"):
        load_network(path)


@pytest.mark.parametrize("entries", [{"offset": "8"}, {"offset": "8", "length": "24"}])
def test_reads_the_range(folder: Path, entries: dict[str, str]) -> None:
    network = load_network(saved(folder, external_network("weights.bin", **entries)), external_data=True)
    np.testing.assert_array_equal(network.initializers["w"], WEIGHT)


def test_reads_below_a_subfolder_what_onnx_wrote(folder: Path) -> None:
    (folder / "data").mkdir()
    model = network_proto([make_node("Add", ["x", "w"], ["y"])], {"x": [2, 3]}, ["y"], {"w": WEIGHT})
    path = folder / "network.onnx"
    onnx.save(model, path, save_as_external_data=True, location="data/all.bin", size_threshold=0)
    network = load_network(path, external_data=True)
    np.testing.assert_array_equal(network.initializers["w"], WEIGHT)


def test_other_external_data_are_another_network(tmp_path: Path) -> None:
    """The file is the same; certificates are kept by the digest."""
    digests = set()
    for value in (1.0, 2.0, 1.0):
        model = external_network("weights.bin", length="24")
        (tmp_path / "weights.bin").write_bytes(np.full(6, value, "<f4").tobytes())
        digests.add(load_network(saved(tmp_path, model), external_data=True).sha256)
    assert len(digests) == 2


def test_bytes_have_no_folder() -> None:
    with pytest.raises(ModelError, match="given as bytes has no folder"):
        load_network(external_network("weights.bin").SerializeToString(), external_data=True)


def absolute(folder: Path) -> str:
    return str(folder.parent / "outside" / "secret.bin")


def parent(folder: Path) -> str:
    return "../outside/secret.bin"


def hidden_parent(folder: Path) -> str:
    (folder / "sub").mkdir()
    return "sub/../../outside/secret.bin"


def link_to_file(folder: Path) -> str:
    (folder / "link.bin").symlink_to(folder.parent / "outside" / "secret.bin")
    return "link.bin"


def link_inside(folder: Path) -> str:
    (folder / "link.bin").symlink_to("weights.bin")
    return "link.bin"


def link_to_folder(folder: Path) -> str:
    (folder / "sub").symlink_to(folder.parent / "outside")
    return "sub/secret.bin"


def hard_link(folder: Path) -> str:
    (folder / "hard.bin").hardlink_to(folder.parent / "outside" / "secret.bin")
    return "hard.bin"


def pipe(folder: Path) -> str:
    os.mkfifo(folder / "pipe.bin")
    return "pipe.bin"


def directory(folder: Path) -> str:
    (folder / "sub").mkdir()
    return "sub"


def absent(folder: Path) -> str:
    return "absent.bin"


def nothing(folder: Path) -> str:
    return ""


def zero_byte(folder: Path) -> str:
    return "weights.bin\0.txt"


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (absolute, "absolute path"),
        (parent, "leaves the network's folder"),
        (hidden_parent, "leaves the network's folder"),
        (link_to_file, "no part of its path may be a link"),
        (link_inside, "no part of its path may be a link"),
        (link_to_folder, "no part of its path may be a link"),
        (hard_link, "has 2 names"),
        (pipe, "not a regular file"),
        (directory, "not a regular file"),
        (absent, "No such file"),
        (nothing, "not a relative path"),
        (zero_byte, "not a relative path"),
    ],
)
def test_refuses(folder: Path, attack: Callable[[Path], str], message: str) -> None:
    path = saved(folder, external_network(attack(folder), offset="8"))
    with pytest.raises(ModelError, match=message) as caught:
        load_network(path, external_data=True)
    assert "tensor 'w'" in str(caught.value)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"offset": "9"}, "bytes 9 to 33 of 'weights.bin', which has 32"),
        ({"offset": "-8"}, "can not be used.*-8"),
        ({"offset": str(1 << 62)}, "which has 32"),
        ({"offset": "8", "length": "20"}, "length 20, but its type and dimensions take 24"),
        ({"offset": "8", "length": "0"}, "length 0, but"),
        ({"offset": "many"}, "can not be used"),
        ({"length": "1e3"}, "can not be used"),
    ],
)
def test_refuses_ranges_outside_the_file(folder: Path, entries: dict[str, str], message: str) -> None:
    path = saved(folder, external_network("weights.bin", **entries))
    with pytest.raises(ModelError, match=message):
        load_network(path, external_data=True)


def test_external_tensors_count_towards_the_limits(folder: Path) -> None:
    path = saved(folder, external_network("weights.bin", offset="8"))
    with pytest.raises(LimitError, match=r"tensor 'w'.*takes 24 bytes"):
        load_network(path, external_data=True, limits=Limits(tensor_bytes=23))
    with pytest.raises(LimitError, match="24 bytes together"):
        load_network(path, external_data=True, limits=Limits(initializer_bytes=23))
