"""Certificates are kept: proved once, read afterwards, and proved again when anything that they rest on differs."""

from __future__ import annotations

from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

from tests.kernels.cuda.host_device import cuda_on_host
from tests.plan.networks import parse, signal
from wavetile.engine.errors import ModelError
from wavetile.engine.graph import load_network
from wavetile.engine.models import proofs, streaming
from wavetile.engine.models.axes import Sizes
from wavetile.engine.models.proofs import certificate_folder, kept_certificate
from wavetile.engine.models.streaming import prove_stream
from wavetile.engine.plan.streaming import AxisFacts, Certificate

MADE = Certificate(
    axes=(AxisFacts("time", 8, 16, {"y": 3.5}), AxisFacts("columns", 4, 4, {"y": 0.0})),
    lengths=(40, 24),
    max_difference=3e-7,
    carried_bytes=128,
    strip_bytes=0,
    multiply_adds=(1000, 990),
    variation=0.5,
)

NETWORK = load_network(
    parse(
        "(float[1,1,H,6] x) => (float[1,1,H,6] y) { y = Conv<pads=[1,1,1,1]>(x, k) }",
        constants={"k": signal((1, 1, 3, 3), 1)},
    ).SerializeToString()
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAVETILE_CACHE", str(tmp_path))


class Prover:
    """Counts how often it proves."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> Certificate:
        self.count += 1
        return replace(MADE, carried_bytes=self.count)


def test_a_proof_is_made_once_for_each_subject_and_code(monkeypatch: pytest.MonkeyPatch) -> None:
    prove = Prover()
    first = kept_certificate(("network", 1), prove)
    assert first == replace(MADE, carried_bytes=1)
    assert kept_certificate(("network", 1), prove) == first
    assert kept_certificate(("network", 2), prove).carried_bytes == 2
    monkeypatch.setattr(proofs, "code_digest", lambda: "changed")
    assert kept_certificate(("network", 1), prove).carried_bytes == 3


def test_all_that_computes_is_code() -> None:
    suffixes = {path.suffix for path in proofs._sources() if "kernels" in path.parts}
    assert suffixes == {".py", ".cuh"}


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"axes": 3}', '{"axes": [{"name": 1}], "lengths": []}'])
def test_a_file_that_is_not_whole_is_made_again(content: str) -> None:
    prove = Prover()
    kept_certificate("network", prove)
    (path,) = certificate_folder().iterdir()
    path.write_text(content)
    assert kept_certificate("network", prove).carried_bytes == 2
    assert kept_certificate("network", prove).carried_bytes == 2


def test_what_is_not_proved_is_not_kept() -> None:
    def fail() -> Certificate:
        raise ModelError("it differs")

    for _ in range(2):
        with pytest.raises(ModelError, match="it differs"):
            kept_certificate("network", fail)
    assert not certificate_folder().exists()


def test_a_cache_that_can_not_be_written_costs_time_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WAVETILE_CACHE", str(tmp_path / "file"))
    prove = Prover()
    assert [kept_certificate("network", prove).carried_bytes for _ in range(2)] == [1, 2]


def test_another_library_proves_again(monkeypatch: pytest.MonkeyPatch) -> None:
    prove = Prover()
    kept_certificate("network", prove)
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: version(name) + (".1" if name == "numpy" else ""))
    assert kept_certificate("network", prove).carried_bytes == 2


def test_another_card_proves_again(monkeypatch: pytest.MonkeyPatch) -> None:
    subjects: list[str] = []
    monkeypatch.setattr(streaming, "kept_certificate", lambda subject, _: subjects.append(repr(subject)) or MADE)
    for capability in ((7, 5), (9, 0)):
        with cuda_on_host(compute_capability=capability):
            prove_stream(NETWORK, [{"x": 2}], backend="cuda")
    assert len(set(subjects)) == 2
    assert "the processor, compute capability 9.0" in subjects[1]


def test_a_size_that_is_given_is_another_subject_than_the_same_one_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dimension whose size is given is freed first: it is another graph that is proved, if of the same shapes."""
    subjects: list[str] = []
    monkeypatch.setattr(streaming, "kept_certificate", lambda subject, _: subjects.append(repr(subject)) or MADE)
    given: list[Sizes] = [{}, {("x", 3): 6}]
    for sizes in given:
        prove_stream(NETWORK, [{"x": 2}], sizes, backend="cpu")
    assert len(set(subjects)) == 2
