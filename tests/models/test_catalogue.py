"""The catalogue of weights: order of places, sha256, wheels through pip, addresses, concurrency; no network needed."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from wavetile.engine.errors import WeightsError
from wavetile.engine.models import catalogue
from wavetile.engine.models.fetch import fetch
from wavetile.kernels.cache import CACHE_VARIABLE

WEIGHTS = bytes(range(256)) * 5000
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
OTHER_SHA256 = hashlib.sha256(b"other").hexdigest()
FILE = "tiny/tiny.onnx"
MEMBER = "tiny_net/data/tiny.onnx"
SOURCE = f"pypi:tiny-net==1.2.3#{MEMBER}"
TAR = "tiny_net/models.tar.gz"
INNER = "export/tiny.onnx"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point wavetile at an empty cache of this test's own, and at no folder of models."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.delenv(catalogue.MODELS_VARIABLE, raising=False)
    return tmp_path / "cache"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let pip see one folder with the wheel tiny-net 1.2.3 and nothing else; return the wheel's path."""
    folder = tmp_path / "registry"
    folder.mkdir()
    wheel = folder / "tiny_net-1.2.3-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(MEMBER, WEIGHTS)
        archive.writestr("tiny_net-1.2.3.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-net\nVersion: 1.2.3\n")
        archive.writestr(
            "tiny_net-1.2.3.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("tiny_net-1.2.3.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return wheel


@pytest.fixture
def nested(registry: Path) -> Path:
    """The wheel of `registry` with a compressed tar archive in it, and the weights in that."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in (("export/other.onnx", b"other"), (INNER, WEIGHTS)):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    with zipfile.ZipFile(registry, "a") as wheel:
        wheel.writestr(TAR, packed.getvalue())
        wheel.writestr("tiny_net/damaged.tar.gz", packed.getvalue()[:1000])
    return registry


@pytest.fixture
def site() -> Iterator[str]:
    """Serve weights on the loopback: /weights whole, /endless without a length, /short broken off, /away redirects."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/away":
                self.send_response(302)
                self.send_header("Location", "http://example.invalid/weights")
                self.end_headers()
                return
            if self.path not in ("/weights", "/endless", "/short"):
                self.send_error(404)
                return
            self.send_response(200)
            if self.path != "/endless":
                self.send_header("Content-Length", str(len(WEIGHTS)))
            self.end_headers()
            self.wfile.write(WEIGHTS[: len(WEIGHTS) // 2] if self.path == "/short" else WEIGHTS)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's own name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def place(folder: Path, content: bytes = WEIGHTS) -> Path:
    path = folder / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_folder_of_models_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = place(tmp_path / "second")
    folders = (tmp_path / "first", tmp_path / "second", tmp_path / "third")
    place(tmp_path / "third")
    monkeypatch.setenv(catalogue.MODELS_VARIABLE, os.pathsep.join(map(str, folders)))
    assert catalogue.resolve("file:nowhere.onnx", sha256=SHA256, file=FILE) == found
    assert catalogue.locate(sha256=SHA256.upper(), file=FILE) == found


def test_a_wrong_file_in_a_folder_of_models_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = place(tmp_path, b"other")
    monkeypatch.setenv(catalogue.MODELS_VARIABLE, str(tmp_path))
    with pytest.raises(WeightsError) as caught:
        catalogue.resolve(SOURCE, sha256=SHA256, file=FILE)
    assert all(word in str(caught.value) for word in (str(path), SHA256, OTHER_SHA256))


def test_a_wheel_is_fetched_and_only_the_member_kept(registry: Path, cache: Path) -> None:
    reports: list[tuple[int, int | None]] = []
    wheel_sha256 = hashlib.sha256(registry.read_bytes()).hexdigest()
    path = catalogue.resolve(
        SOURCE,
        sha256=SHA256,
        file=FILE,
        archive_sha256=wheel_sha256,
        progress=lambda done, size: reports.append((done, size)),
    )
    assert path.read_bytes() == WEIGHTS
    assert files_below(cache) == [path] == [catalogue.cached_path(sha256=SHA256, file=FILE)]
    assert reports[-1] == (len(WEIGHTS), len(WEIGHTS))
    assert reports == sorted(reports)


def test_a_file_of_an_archive_in_a_wheel_is_fetched(nested: Path, cache: Path) -> None:
    path = catalogue.resolve(f"pypi:tiny-net==1.2.3#{TAR}#{INNER}", sha256=SHA256, file=FILE)
    assert path.read_bytes() == WEIGHTS
    assert files_below(cache) == [path]


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (f"{TAR}#export/absent.onnx", "has no file 'export/absent.onnx'"),
        (f"tiny_net/damaged.tar.gz#{INNER}", "is damaged"),
        (f"{MEMBER}#{INNER}", "is damaged"),
    ],
)
def test_an_archive_without_the_file_is_named(nested: Path, cache: Path, place: str, reason: str) -> None:
    with pytest.raises(WeightsError, match=reason):
        catalogue.resolve(f"pypi:tiny-net==1.2.3#{place}", sha256=SHA256, file=FILE)
    assert files_below(cache) == []


def test_the_cache_is_used_without_the_source(registry: Path) -> None:
    path = catalogue.resolve(SOURCE, sha256=SHA256, file=FILE)
    registry.unlink()
    assert catalogue.resolve(SOURCE, sha256=SHA256, file=FILE) == path
    assert catalogue.pull(SOURCE, sha256=SHA256, file=FILE) == path


def test_a_damaged_cache_is_mended(registry: Path) -> None:
    path = catalogue.resolve(SOURCE, sha256=SHA256, file=FILE)
    path.write_bytes(WEIGHTS[:-1])
    assert catalogue.locate(sha256=SHA256, file=FILE) is None
    assert catalogue.resolve(SOURCE, sha256=SHA256, file=FILE).read_bytes() == WEIGHTS


def test_a_wrong_member_never_stays(registry: Path, cache: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        catalogue.resolve(SOURCE, sha256=OTHER_SHA256, file=FILE)
    assert all(word in str(caught.value) for word in (FILE, OTHER_SHA256, SHA256))
    assert files_below(cache) == []


def test_a_wrong_wheel_is_refused(registry: Path, cache: Path) -> None:
    with pytest.raises(WeightsError, match=f"tiny_net-1.2.3-py3-none-any.whl: expected sha256 {OTHER_SHA256}"):
        catalogue.resolve(SOURCE, sha256=SHA256, file=FILE, archive_sha256=OTHER_SHA256)
    assert files_below(cache) == []


def test_a_missing_member_is_named(registry: Path) -> None:
    with pytest.raises(WeightsError, match=r"tiny_net-1\.2\.3-py3-none-any\.whl has no member 'tiny_net/absent\.onnx'"):
        catalogue.resolve("pypi:tiny-net==1.2.3#tiny_net/absent.onnx", sha256=SHA256, file=FILE)


def test_without_a_registry_the_error_says_what_works(registry: Path, cache: Path) -> None:
    registry.unlink()
    with pytest.raises(WeightsError) as caught:
        catalogue.resolve(SOURCE, sha256=SHA256, file=FILE)
    message = str(caught.value)
    assert "No matching distribution found for tiny-net==1.2.3" in message
    assert "pip download --no-deps --only-binary=:all: tiny-net==1.2.3" in message
    assert f"put it at {FILE} below a folder, and set {catalogue.MODELS_VARIABLE}" in message
    assert files_below(cache) == []


def test_an_environment_without_pip_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'python: No module named pip' >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(WeightsError, match="No module named pip"):
        catalogue.resolve(SOURCE, sha256=SHA256, file=FILE)


def test_many_at_once_get_one_whole_file(registry: Path, cache: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: catalogue.resolve(SOURCE, sha256=SHA256, file=FILE), range(4)))
    assert set(paths) == set(files_below(cache)) == {catalogue.cached_path(sha256=SHA256, file=FILE)}
    assert paths[0].read_bytes() == WEIGHTS


@pytest.mark.parametrize(("page", "size"), [("weights", len(WEIGHTS)), ("endless", None)])
def test_an_address_is_streamed_into_the_cache(site: str, cache: Path, page: str, size: int | None) -> None:
    reports: list[tuple[int, int | None]] = []
    path = catalogue.resolve(
        f"{site}/{page}", sha256=SHA256, file=FILE, progress=lambda done, size: reports.append((done, size))
    )
    assert path.read_bytes() == WEIGHTS
    assert reports[-1] == (len(WEIGHTS), size)
    assert files_below(cache) == [path]


@pytest.mark.parametrize(
    ("page", "reason"),
    [("absent", "answered 404"), ("short", "broke off"), ("away", "fetched over https, not http")],
)
def test_a_failing_address_leaves_nothing(site: str, cache: Path, page: str, reason: str) -> None:
    with pytest.raises(WeightsError, match=reason):
        catalogue.resolve(f"{site}/{page}", sha256=SHA256, file=FILE)
    assert files_below(cache) == []


@pytest.mark.parametrize("page", ["weights", "endless"])
def test_an_address_that_sends_too_much_is_cut_off(
    site: str, cache: Path, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = len(WEIGHTS) - 1
    monkeypatch.setattr(catalogue, "fetch", lambda *args, **names: fetch(*args, **names, max_bytes=limit))
    with pytest.raises(WeightsError, match=f"limit of {limit}"):
        catalogue.resolve(f"{site}/{page}", sha256=SHA256, file=FILE)
    assert files_below(cache) == []


def test_a_server_that_is_not_there(site: str) -> None:
    with pytest.raises(WeightsError, match="can not be reached"):
        catalogue.resolve("http://127.0.0.1:1/weights", sha256=SHA256, file=FILE)


@pytest.mark.parametrize("form", ["{}", "file:{}", "file://{}"])
def test_a_local_file_stays_where_it_is(tmp_path: Path, cache: Path, form: str) -> None:
    path = place(tmp_path / "a folder")
    name = str(path) if form == "{}" else str(path).replace(" ", "%20")
    assert catalogue.resolve(form.format(name), sha256=SHA256, file=FILE) == path
    assert files_below(cache) == []


@pytest.mark.parametrize("source", [FILE, f"file:{FILE}"])
def test_a_relative_source_is_below_the_card(tmp_path: Path, source: str) -> None:
    path = place(tmp_path)
    assert catalogue.resolve(source, sha256=SHA256, file=FILE, relative_to=tmp_path) == path


def test_a_file_beside_its_card_is_located_after_the_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside = place(tmp_path / "cards")
    assert catalogue.locate(sha256=SHA256, file=FILE) is None
    assert catalogue.locate(sha256=SHA256, file=FILE, source=FILE, relative_to=tmp_path / "cards") == beside
    assert catalogue.locate(sha256=SHA256, file=FILE, source="absent.onnx", relative_to=tmp_path / "cards") is None
    assert catalogue.locate(sha256=SHA256, file=FILE, source=SOURCE) is None
    monkeypatch.setenv(catalogue.MODELS_VARIABLE, str(tmp_path / "models"))
    found = place(tmp_path / "models")
    assert catalogue.locate(sha256=SHA256, file=FILE, source=FILE, relative_to=tmp_path / "cards") == found
    with pytest.raises(WeightsError, match=SHA256):
        catalogue.locate(sha256=OTHER_SHA256, file="other.onnx", source=str(beside))


def test_a_local_file_is_verified(tmp_path: Path) -> None:
    path = place(tmp_path, b"other")
    with pytest.raises(WeightsError, match=OTHER_SHA256):
        catalogue.resolve(str(path), sha256=SHA256, file=FILE)
    with pytest.raises(WeightsError, match=r"no file at .*absent\.onnx"):
        catalogue.resolve(str(tmp_path / "absent.onnx"), sha256=SHA256, file=FILE)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("pypi:tiny-net#x.onnx", "the version exact"),
        ("pypi:tiny-net>=1#x.onnx", "the version exact"),
        ("pypi:--index-url==1#x.onnx", "the version exact"),
        ("pypi:tiny-net==1.0", "PATH-IN-THE-WHEEL"),
        ("ftp://example.org/x.onnx", "'ftp' is not known"),
        ("http://example.org/x.onnx", "over https, not http"),
        ("file://server/x.onnx", "another machine, 'server'"),
        ("", "names no file"),
    ],
)
def test_a_source_that_can_not_be_read(source: str, reason: str) -> None:
    with pytest.raises(WeightsError, match=reason):
        catalogue.resolve(source, sha256=SHA256, file=FILE)


@pytest.mark.parametrize("file", ["", "/tiny.onnx", "../tiny.onnx", "a/../../tiny.onnx", "a\\tiny.onnx", "C:tiny.onnx"])
def test_a_file_name_stays_below_its_folder(file: str) -> None:
    with pytest.raises(WeightsError, match="must be a relative path"):
        catalogue.resolve(SOURCE, sha256=SHA256, file=file)


@pytest.mark.parametrize("sha256", ["", "abc", SHA256[:-1], SHA256 + "0", "../" + SHA256[3:]])
def test_a_sha256_is_64_digits(sha256: str) -> None:
    with pytest.raises(WeightsError, match="not 64 hexadecimal digits"):
        catalogue.resolve(SOURCE, sha256=sha256, file=FILE)


def test_a_cache_that_can_not_be_written(tmp_path: Path, registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "occupied").write_text("a file, not a folder")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "occupied" / "cache"))
    with pytest.raises(WeightsError, match=f"set {CACHE_VARIABLE} to a folder that can be written"):
        catalogue.pull(SOURCE, sha256=SHA256, file=FILE)
