"""One network, many threads: who compiles keeps nobody waiting whose program is there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from onnx import parser

from tests.patience import PATIENCE_S
from wavetile.engine.errors import ModelError
from wavetile.engine.graph import load_network
from wavetile.engine.models import evaluator as module
from wavetile.engine.models.evaluator import Evaluator
from wavetile.engine.plan import Target, compile_graph


class SlowCompiler:
    """Stands before `compile_graph`: counts its calls, and holds them up while the gate is closed."""

    def __init__(self) -> None:
        self.calls = 0
        self.started = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        self._compile = compile_graph

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        self.started.set()
        assert self.gate.wait(PATIENCE_S)
        return self._compile(*args, **kwargs)

    def close(self) -> None:
        self.started.clear()
        self.gate.clear()


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> SlowCompiler:
    slow = SlowCompiler()
    monkeypatch.setattr(module, "compile_graph", slow)
    return slow


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(3) as executor:
        yield executor


def twice() -> Evaluator:
    text = '<ir_version: 8, opset_import: ["": 18]> g (float[N] x) => (float[N] y) { y = Add(x, x) }'
    return Evaluator(load_network(parser.parse_model(text).SerializeToString()), Target("reference"), threads=1)


def ones(count: int) -> dict[str, np.ndarray]:
    return {"x": np.ones(count, np.float32)}


def test_a_known_shape_runs_while_another_is_compiled(compiler: SlowCompiler, pool: ThreadPoolExecutor) -> None:
    evaluator = twice()
    evaluator.run(ones(3))
    compiler.close()
    compiling = pool.submit(evaluator.run, ones(5))
    assert compiler.started.wait(PATIENCE_S)
    for _ in range(2):
        np.testing.assert_array_equal(pool.submit(evaluator.run, ones(3)).result(PATIENCE_S)["y"], np.full(3, 2.0))
    assert not compiling.done()
    compiler.gate.set()
    np.testing.assert_array_equal(compiling.result(PATIENCE_S)["y"], np.full(5, 2.0))


def test_two_that_bring_one_new_shape_compile_it_once(compiler: SlowCompiler, pool: ThreadPoolExecutor) -> None:
    evaluator = twice()
    compiler.close()
    both = [pool.submit(evaluator.run, ones(4)) for _ in range(2)]
    assert compiler.started.wait(PATIENCE_S)
    compiler.gate.set()
    for one in both:
        np.testing.assert_array_equal(one.result(PATIENCE_S)["y"], np.full(4, 2.0))
    assert compiler.calls == 1


def test_a_failure_reaches_all_who_wait_and_is_not_kept(
    compiler: SlowCompiler, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator = twice()
    compiler.close()

    def refuse(*args: Any, **kwargs: Any) -> None:
        compiler(*args, **kwargs)
        raise ModelError("it does not compile")

    with monkeypatch.context() as patch:
        patch.setattr(module, "compile_graph", refuse)
        both = [pool.submit(evaluator.run, ones(4)) for _ in range(2)]
        assert compiler.started.wait(PATIENCE_S)
        compiler.gate.set()
        for one in both:
            with pytest.raises(ModelError, match="does not compile"):
                one.result(PATIENCE_S)
    np.testing.assert_array_equal(evaluator.run(ones(4))["y"], np.full(4, 2.0))


def test_who_waits_for_one_that_is_interrupted_compiles_it_anew(
    compiler: SlowCompiler, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator = twice()
    compiler.close()

    def interrupt_first(*args: Any, **kwargs: Any) -> Any:
        compiled = compiler(*args, **kwargs)
        if compiler.calls == 1:
            raise KeyboardInterrupt
        return compiled

    monkeypatch.setattr(module, "compile_graph", interrupt_first)
    first = pool.submit(evaluator.run, ones(4))
    assert compiler.started.wait(PATIENCE_S)
    second = pool.submit(evaluator.run, ones(4))
    compiler.gate.set()
    with pytest.raises(KeyboardInterrupt):
        first.result(PATIENCE_S)
    np.testing.assert_array_equal(second.result(PATIENCE_S)["y"], np.full(4, 2.0))


def test_shapes_that_take_turns_are_compiled_once_each(compiler: SlowCompiler) -> None:
    evaluator = twice()
    for count in (3, 5, 7) * 3:
        np.testing.assert_array_equal(evaluator.run(ones(count))["y"], np.full(count, 2.0))
    assert compiler.calls == 3
