"""SHA-256 of whole weight files and of each tensor in them, in one pass over the bytes."""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from meshinfer.errors import BrokenModel

from .base import Progress
from .safetensors import StoredTensor, read_header

# Large enough that handing it to another thread costs nothing, small enough to stay near the processor.
_CHUNK_BYTES = 4 << 20
_MAX_FILES_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class FileHashes:
    """SHA-256, in hex, of a weight file and of each of its tensors."""

    sha256: str
    tensors: dict[str, str]


def hash_files(files: Sequence[Path], what: str, progress: Progress) -> list[FileHashes]:
    """Read some safetensors files once and hash them; several at a time, on several threads. Blocks.

    what: for `progress`, which may raise to end it.

    Raises:
        BrokenModel: a header is torn, or a file changed meanwhile.
    """
    counter = _Counter(what, sum(file.stat().st_size for file in files), progress)
    at_once = max(1, min(len(files), (os.cpu_count() or 1) // 2, _MAX_FILES_AT_ONCE))
    # Each file has a reader, and two threads that hash what it has read.
    with ThreadPoolExecutor(at_once) as readers, ThreadPoolExecutor(2 * at_once) as hashers:
        results = [readers.submit(_hash_file, file, counter.add, hashers) for file in files]
        try:
            return [result.result() for result in results]
        except BaseException:
            counter.stop()
            raise


def hash_range(file: Path, offset: int, size_bytes: int) -> str:
    """SHA-256 of a part of a file, in hex.

    Raises:
        BrokenModel: the file ends before the part does.
    """
    digest = hashlib.sha256()
    feed(digest, file, offset, size_bytes)
    return digest.hexdigest()


def feed(digest: "hashlib._Hash", file: Path, offset: int, size_bytes: int) -> None:
    """Have a hash take in a part of a file.

    Raises:
        BrokenModel: the file ends before the part does.
    """
    with file.open("rb", buffering=0) as stream:
        stream.seek(offset)
        buffer = memoryview(bytearray(min(_CHUNK_BYTES, size_bytes)))
        while size_bytes:
            count = stream.readinto(buffer[: min(len(buffer), size_bytes)])
            if not count:
                raise BrokenModel(f"{file}: the file ends {size_bytes} bytes too early")
            digest.update(buffer[:count])
            size_bytes -= count


class _Counter:
    """Progress of several threads at once."""

    def __init__(self, what: str, total_bytes: int, progress: Progress) -> None:
        self._what = what
        self._total_bytes = total_bytes
        self._progress = progress
        self._done_bytes = 0
        self._is_stopped = False
        self._lock = Lock()
        progress(what, 0, total_bytes)

    def add(self, count_bytes: int) -> bool:
        """Count some more; False once nobody wants the result."""
        with self._lock:
            if not self._is_stopped:
                self._done_bytes += count_bytes
                self._progress(self._what, min(self._done_bytes, self._total_bytes), self._total_bytes)
            return not self._is_stopped

    def stop(self) -> None:
        """Have the readers end."""
        self._is_stopped = True


class _TensorHashers:
    """Hashes each tensor of a file, while the file is fed from its beginning to its end."""

    def __init__(self, tensors: Sequence[StoredTensor]) -> None:
        self._tensors = tensors
        self._digests = [hashlib.sha256() for _ in tensors]
        self._first = 0

    def update(self, chunk: memoryview, position: int) -> None:
        """Take in the file's bytes from `position` on."""
        end = position + len(chunk)
        for index in range(self._first, len(self._tensors)):
            tensor = self._tensors[index]
            if tensor.offset >= end:
                break
            start, stop = max(tensor.offset, position), min(tensor.end, end)
            if start < stop:
                self._digests[index].update(chunk[start - position : stop - position])
        while self._first < len(self._tensors) and self._tensors[self._first].end <= end:
            self._first += 1

    def hexdigests(self) -> dict[str, str]:
        """What came of it, by the tensors' names."""
        pairs = zip(self._tensors, self._digests, strict=True)
        return {tensor.name: digest.hexdigest() for tensor, digest in pairs}


def _hash_file(file: Path, add: Callable[[int], bool], hashers: Executor) -> FileHashes:
    whole, parts = hashlib.sha256(), _TensorHashers(read_header(file))
    size_bytes, position = file.stat().st_size, 0
    with file.open("rb", buffering=0) as stream:
        # One is filled while the other is hashed.
        buffers = [memoryview(bytearray(_CHUNK_BYTES)), memoryview(bytearray(_CHUNK_BYTES))]
        under_way: list[Future[None]] = []
        while count := stream.readinto(buffers[0]):
            for task in under_way:
                task.result()
            chunk = buffers[0][:count]
            under_way = [hashers.submit(whole.update, chunk), hashers.submit(parts.update, chunk, position)]
            position += count
            buffers.reverse()
            if not add(count):
                break
        for task in under_way:
            task.result()
    if position != size_bytes:
        raise BrokenModel(f"{file}: {position} of {size_bytes} bytes were read: the file is being written")
    return FileHashes(whole.hexdigest(), parts.hexdigests())
