"""Which models and networks the command `serve` serves, and under which names."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest

from tests.commands.said import Command
from wavetile.engine.commands.arguments import listening
from wavetile.engine.commands.serve import _load
from wavetile.engine.errors import ModelError

NETWORK = """<ir_version: 8, opset_import: ["" : 17]>
product ({shape} x) => ({shape} y)
<float[4, 4] w = {{2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2}}> {{ y = MatMul (x, w) }}"""


def saved(path: Path, shape: str) -> str:
    onnx.save(onnx.parser.parse_model(NETWORK.format(shape=shape)), path)
    return str(path)


def options(*models: str) -> argparse.Namespace:
    return argparse.Namespace(models=list(models), backend="reference", threads=1)  # nothing to compile


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ("float[n, 4]", "free: inputs of any size, reference"),
        ("float[2, 4]", "free: 32 multiply-adds an evaluation, reference"),
    ],
)
def test_a_bare_network_is_evaluated_and_does_not_stream(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shape: str, said: str
) -> None:
    models, networks = _load(options(saved(tmp_path / "free.onnx", shape)))
    assert models == {}
    ((name, network),) = networks.items()
    assert [(one.name, one.dtype) for one in network.inputs] == [("x", "float32")]
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    np.testing.assert_array_equal(network.run({"x": x})["y"], 2 * x)
    assert name == "free"
    assert said in capsys.readouterr().err


def test_two_networks_of_one_name_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "free.onnx", "float[n, 4]")
    with pytest.raises(ModelError, match="two models are called 'free'; leave one out"):
        _load(options(path, path))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9464", ("127.0.0.1", 9464)),
        (":0", ("127.0.0.1", 0)),
        ("10.1.2.3:80", ("10.1.2.3", 80)),
        ("[::1]:9464", ("::1", 9464)),
    ],
)
def test_where_to_listen(text: str, expected: tuple[str, int]) -> None:
    assert listening(text) == expected


@pytest.mark.parametrize("text", ["", "here", "127.0.0.1:", "127.0.0.1:70000"])
def test_what_is_no_place_to_listen(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not a port"):
        listening(text)


def test_doors_are_checked_before_models_are_loaded(wavetile_command: Command) -> None:
    pytest.importorskip("aiohttp", reason="the extra 'dashboard' is not installed")
    said = wavetile_command("serve", "no-such-model.onnx", "--dashboard", "0.0.0.0:0", "--insecure")
    assert said.status != 0
    assert "--tokens or --jwks besides would work" in said.notices
