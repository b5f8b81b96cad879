"""The command line: what it reads, how it fails, and what describe, models and warmup say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.said import Command
from tests.kernels.cuda.host import COMPILER, compiler_is_here
from tests.kernels.cuda.host_device import cuda_on_host
from wavetile import __version__
from wavetile.engine.commands import weights
from wavetile.engine.commands.command_line import COMMANDS, make_parser
from wavetile.engine.errors import WavetileError
from wavetile.engine.models.card import card_names


@pytest.mark.parametrize(
    "line",
    [
        "serve silero_vad gtcrn --host 0.0.0.0 --port 0 --max-streams 10 --backend reference",
        "serve --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem --client-ca ca.pem --tokens tokens",
        "serve --host 0.0.0.0 --jwks keys.json --jwt-audience wavetile --jwt-issuer us --insecure",
        "token camera --file tokens --allow stream",
        "run gtcrn in.wav --server example.org:50051 --ca system --cert cert.pem --key key.pem",
        "run gtcrn in.wav -o out.wav --server 127.0.0.1:50051 --real-time",
        "load example.org:50051 gtcrn --ca system --cert cert.pem --key key.pem",
        "models pull silero_vad",
        "describe silero_vad --listing --json",
        "bench silero_vad --against onnxruntime --json --seconds 1",
        "warmup --processes 2",
        "demo",
    ],
)
def test_every_command_is_read(line: str) -> None:
    assert callable(make_parser().parse_args(line.split()).execute)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "COMMAND"),
        ("fly", "invalid choice"),
        ("serve --port 70000", "'70000' is not a port"),
        ("serve --max-streams 0", "'0' is not a whole number of at least 1"),
        ("run gtcrn in.wav --server localhost", "'localhost' is not HOST:PORT"),
        ("bench silero_vad --seconds 0", "'0' is not a number above 0"),
        ("models burn", "invalid choice"),
        ("bench silero_vad --against tract", "invalid choice"),
    ],
)
def test_a_wrong_line_is_refused_with_its_reason(wavetile_command: Command, line: str, reason: str) -> None:
    said = wavetile_command(*line.split())
    assert said.status == 2
    assert reason in said.notices


def test_every_command_explains_itself(wavetile_command: Command) -> None:
    for module in COMMANDS:
        said = wavetile_command(module.NAME, "--help")
        assert said.status == 0
        assert module.__doc__ is not None
        assert module.__doc__.splitlines()[0] in said.output


def test_version(wavetile_command: Command) -> None:
    assert wavetile_command("--version").output.strip() == f"wavetile {__version__}"


def test_an_error_is_one_line_and_status_1(wavetile_command: Command) -> None:
    said = wavetile_command("describe", "no_such_model")
    assert said.status == 1
    assert said.output == ""
    assert said.notices.startswith("error: there is no model 'no_such_model'; the models are ")
    assert said.notices.count("\n") == 1


def test_debug_shows_the_traceback(wavetile_command: Command) -> None:
    with pytest.raises(WavetileError, match="no_such_model"):
        wavetile_command("describe", "no_such_model", "--debug")


def test_the_module_is_the_command_and_imports_no_compiler() -> None:
    code = (
        "import sys; from wavetile.engine.commands import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('numpy', 'numba', 'onnx', 'grpc', 'rich') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == "[]", result.stderr
    result = subprocess.run([sys.executable, "-m", "wavetile.engine", "--version"], capture_output=True, text=True)
    assert result.stdout.strip() == f"wavetile {__version__}"


def test_describe_json(wavetile_command: Command, gain_card: Path) -> None:
    facts = json.loads(wavetile_command("describe", gain_card, "--json").output)
    assert facts["name"] == "gain"
    assert facts["operators"] == {"Mul": 1}
    assert (facts["sample_rate_hz"], facts["hop_samples"], facts["hop_ms"]) == (16000, 160, 10.0)
    assert (facts["delay_samples"], facts["delay_ms"]) == (160, 10.0)
    assert sum(facts["kernels"].values()) == facts["instruction_count"] > 0
    assert facts["weight_bytes"] >= 320 * 4  # the window
    assert facts["state_bytes"] >= 160 * 4  # what the next frame's output overlaps
    assert facts["returns_audio"] is True


def test_describe_shows_shapes_and_listing(wavetile_command: Command, image_network: Path) -> None:
    text = wavetile_command("describe", image_network).output
    assert "float32 [1, 1, 8, 8]" in text
    assert "1: Mul 1" in text
    listing = wavetile_command("describe", image_network, "--listing").output.splitlines()
    facts = json.loads(wavetile_command("describe", image_network, "--json").output)
    assert len(listing) == facts["instruction_count"]
    floor = facts["floor"]
    assert floor["floor_us"] == max(floor["arithmetic_us"], floor["memory_us"]) > 0
    assert floor["distance"] == pytest.approx(floor["step_us"] / floor["floor_us"])
    assert "times the floor" in text
    said = wavetile_command("describe", image_network, "--shape", "picture=1,1,8,8")
    assert said.status == 1
    assert "model 'halve' has no input 'picture'; its inputs are image" in said.notices


def test_models_list_needs_no_weights(
    wavetile_command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WAVETILE_MODELS", "")
    monkeypatch.setenv("WAVETILE_CACHE", str(tmp_path))
    listing = json.loads(wavetile_command("models", "list", "--json").output)
    assert [model["name"] for model in listing] == list(card_names())
    states = {model["name"]: {network["state"] for network in model["networks"].values()} for model in listing}
    assert states.pop("nuclei_compact") == {"local"}
    assert set().union(*states.values()) == {"missing"}
    table = wavetile_command("models", "list", "silero_vad").output
    assert all(word in table for word in ("silero_vad", "voice activity", "16 kHz", "MIT", "missing", str(tmp_path)))
    said = wavetile_command("models", "verify", "silero_vad")
    assert said.status == 1
    assert "`wavetile models pull silero_vad` fetches it" in said.notices
    monkeypatch.setattr(weights, "card_names", lambda: ("silero_vad", "gtcrn"))
    said = wavetile_command("serve")
    assert said.status == 1
    assert "no weights are here of any known model" in said.notices


def test_models_verify_and_pull_a_local_file(wavetile_command: Command, gain_card: Path) -> None:
    said = wavetile_command("models", "pull", gain_card)
    assert said.status == 0
    assert str(gain_card.with_name("gain.onnx")) in said.output
    gain_card.with_name("gain.onnx").write_bytes(b"something else")
    said = wavetile_command("models", "pull", gain_card)
    assert said.status == 1
    assert "expected sha256" in said.notices


def test_warmup_says_where_the_kernels_are(
    wavetile_command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from wavetile.kernels.cpu import machine_code, warmup

    done = warmup.WarmUp(functions=12, seconds=3.25, processes=2, folder=tmp_path)
    asked = []
    monkeypatch.setattr(machine_code, "is_complete", lambda: False)
    monkeypatch.setattr(warmup, "warm_up", lambda progress, processes: asked.append(processes) or done)
    said = wavetile_command("warmup", "--processes", "2")
    assert said.output == f"12 kernels compiled in 3.2 s by 2 processes; they are kept in {tmp_path}\n"
    assert asked == [2]


@pytest.mark.skipif(not compiler_is_here(), reason=f"there is no {COMPILER} here")
def test_describe_says_what_a_card_makes_of_it(wavetile_command: Command, gain_card: Path) -> None:
    with cuda_on_host(prefers="graph"):
        text = wavetile_command("describe", gain_card, "--backend", "cuda").output
        facts = json.loads(wavetile_command("describe", gain_card, "--backend", "cuda", "--json").output)
    assert "on the card, 1 stream" in text
    assert "on the card, 128 streams" in text
    assert [choice["lanes"] for choice in facts["executors"]] == [1, 2, 4, 8, 16, 32, 64, 128]
    for choice in facts["executors"]:
        assert choice["executor"].startswith("graph of")
        assert choice["step_us"][choice["executor"]] == min(choice["step_us"].values())
        assert len(choice["step_us"]) == 2
    assert "floor" not in facts


@pytest.mark.skipif(not compiler_is_here(), reason=f"there is no {COMPILER} here")
def test_describe_evaluates_one_image_on_a_card(wavetile_command: Command) -> None:
    with cuda_on_host(prefers="graph"):
        said = wavetile_command(
            "describe", "nuclei_compact", "--backend", "cuda", "--shape", "image=1,1,16,16", "--json"
        )
    assert [choice["lanes"] for choice in json.loads(said.output)["executors"]] == [1]


def test_the_memory_of_a_card_is_a_number_and_of_a_card(wavetile_command: Command, gain_card: Path) -> None:
    said = wavetile_command("serve", gain_card, "--device-memory", "8T")
    assert said.status == 2
    assert "'8T' is no number of bytes; 8G or 500M would work" in said.notices
    said = wavetile_command("serve", gain_card, "--device-memory", "8G")
    assert said.status != 0
    assert "--device-memory is of a card, and the back end is cpu; --backend cuda besides would work" in said.notices
