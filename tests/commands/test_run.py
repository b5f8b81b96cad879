"""`wavetile run`: files through small models, in process and through a server; what is wrong is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.clients.image_models import smoothing_card
from tests.commands.said import Command
from wavetile.engine.commands.demo.server_process import running_server
from wavetile.engine.commands.segments import Segment, segments_of
from wavetile.engine.errors import WavetileError

RATE_HZ = 16000
LOUD = (4000, 8000)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Return 0.75 s of faint noise, two channels, with a quarter second of loud noise in it."""
    samples = 0.01 * np.random.default_rng(1).standard_normal((12000, 2))
    samples[slice(*LOUD)] *= 40
    path = tmp_path / "recording.wav"
    soundfile.write(path, samples, RATE_HZ, subtype="FLOAT")
    return path


def test_audio_comes_out_aligned_and_as_long(wavetile_command: Command, gain_card: Path, recording: Path) -> None:
    output = recording.with_name("out.wav")
    said = wavetile_command("run", gain_card, recording, "-o", output)
    assert said.status == 0, said.notices
    before, _ = soundfile.read(recording, dtype="float32")
    after, rate_hz = soundfile.read(output, dtype="float32")
    assert (rate_hz, after.shape) == (RATE_HZ, before.shape)
    assert np.abs(after - 0.5 * before).max() < 1e-6
    assert soundfile.info(output).subtype == "FLOAT"


def test_another_rate_is_resampled(wavetile_command: Command, gain_card: Path, tmp_path: Path) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)
    soundfile.write(tmp_path / "tone.wav", tone, 44100, subtype="FLOAT")
    said = wavetile_command("run", gain_card, tmp_path / "tone.wav", "-o", tmp_path / "out.wav")
    assert said.status == 0, said.notices
    after, rate_hz = soundfile.read(tmp_path / "out.wav")
    assert (rate_hz, len(after)) == (44100, len(tone))
    # Half a sample at 44.1 kHz turns a tone of 440 Hz by 0.03 radians; the edges ring.
    assert np.abs(after - 0.5 * tone)[2000:-2000].max() < 0.25 * 0.035


def test_segments_as_text_and_json(wavetile_command: Command, loudness_card: Path, recording: Path) -> None:
    said = wavetile_command("run", loudness_card, recording)
    assert said.status == 0, said.notices
    start, end = (float(number) for number in said.output.split())
    assert abs(start - LOUD[0] / RATE_HZ) <= 0.01
    assert abs(end - LOUD[1] / RATE_HZ) <= 0.04
    told = json.loads(wavetile_command("run", loudness_card, recording, "--json").output)
    assert told["samples"] == 12000
    assert [(one["start_seconds"], one["end_seconds"]) for one in told["segments"]] == [(start, end)]
    path = recording.with_name("segments.json")
    assert wavetile_command("run", loudness_card, recording, "--json", "-o", path).status == 0
    assert json.loads(path.read_text())["segments"] == told["segments"]


def test_a_server_gives_the_same(
    wavetile_command: Command, gain_card: Path, loudness_card: Path, recording: Path
) -> None:
    in_process, on_server = recording.with_name("a.wav"), recording.with_name("b.wav")
    wavetile_command("run", gain_card, recording, "-o", in_process)
    with running_server([str(gain_card), str(loudness_card)]) as address:
        said = wavetile_command("run", "gain", recording, "-o", on_server, "--server", address)
        assert said.status == 0, said.notices
        segments = wavetile_command("run", "loudness", recording, "--server", address).output
        missing = wavetile_command("run", "no_such_model", recording, "--server", address)
        live = ("-o", on_server, "--server", address, "--real-time", "--late-policy")
        told = wavetile_command("run", "gain", recording, *live, "process").output
        bypassed = wavetile_command("run", "gain", recording, *live, "bypass")
        refused = wavetile_command("run", "loudness", recording, *live[2:], "bypass")
    assert np.array_equal(soundfile.read(in_process)[0], soundfile.read(on_server)[0])
    assert segments == wavetile_command("run", loudness_card, recording).output
    assert missing.status == 1
    assert "no_such_model" in missing.notices
    assert "late, 0 skipped, 0 bypassed" in told
    assert np.array_equal(soundfile.read(in_process)[0], soundfile.read(on_server)[0])
    assert bypassed.status == 0, bypassed.notices
    assert refused.status == 1
    assert "returns no audio, so late frames can not be bypassed; process or skip would work" in refused.notices
    in_vain = wavetile_command("run", gain_card, recording, "-o", on_server, "--late-policy", "skip")
    assert in_vain.status == 1
    assert "with --server and --real-time it would work" in in_vain.notices


def test_a_server_that_can_not_start_says_why() -> None:
    with (
        pytest.raises(WavetileError, match=r"did not start: .*there is no model 'no_such_model'"),
        running_server(["no_such_model"]),
    ):
        pass


def test_images(wavetile_command: Command, image_network: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(2).random((8, 8)).astype(np.float32)
    np.save(tmp_path / "in.npy", pixels)
    said = wavetile_command("run", image_network, tmp_path / "in.npy", "-o", tmp_path / "out.npy", "--scale", 2)
    assert said.status == 0, said.notices
    assert "output 'halved', 8 x 8 x 1" in said.output
    assert np.array_equal(np.load(tmp_path / "out.npy")[0, 0], pixels)
    pytest.importorskip("PIL")
    tifffile = pytest.importorskip("tifffile")
    from PIL import Image

    assert wavetile_command("run", image_network, tmp_path / "in.npy", "-o", tmp_path / "out.png").status == 0
    written = np.asarray(Image.open(tmp_path / "out.png"))
    assert np.array_equal(written, np.rint(pixels * 127.5))
    said = wavetile_command("run", image_network, tmp_path / "out.png", "-o", tmp_path / "again.tif")
    assert said.status == 0, said.notices
    assert np.array_equal(tifffile.imread(tmp_path / "again.tif"), written.astype(np.float32) / 2)
    said = wavetile_command("run", image_network, tmp_path / "out.png", "-o", tmp_path / "again.png")
    assert said.status == 1
    assert "PNG takes values from 0 to 1" in said.notices


def test_an_image_in_tiles_is_the_same_in_process_and_on_a_server(wavetile_command: Command, tmp_path: Path) -> None:
    pixels = np.random.default_rng(4).integers(0, 4096, (150, 210)).astype(np.uint16)
    np.save(tmp_path / "in.npy", pixels)
    card = smoothing_card(tmp_path, spatial=2, pixels='[signal.pixels]\nrule = "percentiles"\nlow = 1.0\nhigh = 99.0')
    arguments = (tmp_path / "in.npy", "--order", "raster", "--tile", 64, "-o")
    said = wavetile_command("run", card, *arguments, tmp_path / "tiles.npy", "--json")
    assert said.status == 0, said.notices
    told = json.loads(said.output)
    assert (told["order"], told["input_shape"], told["output_name"]) == ("raster", [150, 210, 1], "mask")
    assert len(told["latencies_s"]) == 12
    low, high = np.percentile(pixels, [1, 99])
    assert (told["scale"], told["offset"]) == pytest.approx((1 / (high - low), -low / (high - low)))
    with running_server([str(card)]) as address:
        said = wavetile_command("run", "smooth2", *arguments, tmp_path / "server.npy", "--server", address)
        assert said.status == 0, said.notices
        assert "12 part(s) in order raster" in said.notices
    assert np.array_equal(np.load(tmp_path / "tiles.npy"), np.load(tmp_path / "server.npy"))
    raw = wavetile_command("run", card, *arguments, tmp_path / "raw.npy", "--scale", 1, "--output-name", "mask")
    assert raw.status == 0, raw.notices
    assert np.load(tmp_path / "raw.npy").std() > 100 * np.load(tmp_path / "tiles.npy").std()
    missing = wavetile_command("run", card, *arguments, tmp_path / "none.npy", "--output-name", "maks")
    assert "no output 'maks' that is an image; mask would work" in missing.notices


def test_a_volume_keeps_its_place_in_space(wavetile_command: Command, volume_network: Path, tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    scan = np.random.default_rng(3).random((6, 5, 4)).astype(np.float32)
    affine = np.array([[0, -2.0, 0, 10], [1.5, 0, 0, -20], [0, 0, 3, 5], [0, 0, 0, 1]])
    nibabel.Nifti1Image(scan, affine).to_filename(tmp_path / "scan.nii.gz")
    said = wavetile_command("run", volume_network, tmp_path / "scan.nii.gz", "-o", tmp_path / "out.nii.gz")
    assert said.status == 0, said.notices
    out = nibabel.load(tmp_path / "out.nii.gz")
    assert np.array_equal(out.affine, affine)
    assert np.array_equal(np.asarray(out.dataobj), scan / 2)


@pytest.mark.parametrize(
    ("model", "arguments", "reason"),
    [
        ("gain_card", ["missing.wav", "-o", "out.wav"], "there is no such file"),
        ("gain_card", ["recording.wav"], "say where it goes with -o"),
        ("gain_card", ["recording.wav", "-o", "nowhere/out.wav"], "there is no folder"),
        ("gain_card", ["recording.wav", "-o", "out.xyz"], "'.xyz'"),
        ("gain_card", ["text.wav", "-o", "out.wav"], "text.wav"),
        ("image_network", ["recording.wav", "-o", "out.wav"], "bare network"),
        ("image_network", ["wrong.npy", "-o", "out.npy"], "[1, 1, 4, 4]"),
        ("image_network", ["wrong.npy"], "say which with -o"),
    ],
)
def test_what_can_not_be_run_is_said(
    wavetile_command: Command,
    recording: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    arguments: list[str],
    reason: str,
) -> None:
    monkeypatch.chdir(recording.parent)
    Path("text.wav").write_text("no audio")
    np.save("wrong.npy", np.zeros((4, 4), np.float32))
    said = wavetile_command("run", request.getfixturevalue(model), *arguments)
    assert said.status == 1
    assert reason in said.notices
    assert said.notices.count("error: ") == 1
    assert not list(Path().glob("*.partial"))


def test_a_file_that_is_no_number_is_refused(wavetile_command: Command, gain_card: Path, tmp_path: Path) -> None:
    samples = np.zeros(4000)
    samples[3000] = np.nan
    soundfile.write(tmp_path / "nan.wav", samples, RATE_HZ, subtype="FLOAT")
    said = wavetile_command("run", gain_card, tmp_path / "nan.wav", "-o", tmp_path / "out.wav")
    assert said.status == 1
    assert "nan" in said.notices.lower() or "finite" in said.notices
    assert not (tmp_path / "out.wav").exists()


def test_segments_pair_starts_with_ends() -> None:
    events = [("speech_start", 100), ("speech_end", 300), ("speech_start", 500)]
    assert segments_of(events, 1000, 1000) == (Segment(100, 300, 0.1, 0.3), Segment(500, 1000, 0.5, 1.0))
    assert segments_of([], 1000, 1000) == ()
