"""Reading ranges of files on the Hugging Face hub, through huggingface_hub's own HTTP client and settings."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from meshinfer.errors import ModelError

from .hub import Repository, hub_errors_named

_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Patience:
    """attempts: how often in a row a range may bring not one byte. first_wait_s: then doubled each time."""

    attempts: int = 6
    first_wait_s: float = 0.5
    longest_wait_s: float = 15.0


@dataclass(frozen=True, slots=True)
class HubFiles:
    """The files of one commit of a repository. endpoint: None for what HF_ENDPOINT says."""

    repository: Repository
    endpoint: str | None = None
    patience: Patience = Patience()

    def stream(self, file: str, begin: int, end: int, take: Callable[[memoryview], None]) -> None:
        """Read a file's bytes begin, …, end - 1 and hand them on, in order. Blocks.

        What breaks is taken up again where it broke, after a wait that grows. A server that knows no ranges
        sends the whole file, of which the rest is passed over. What `take` raises ends it and comes out.

        Raises:
            ModelError: the hub refuses, or sends nothing again and again; the text says what to do.
        """
        attempt, wait_s = 0, self.patience.first_wait_s
        with hub_errors_named(self.repository):
            while begin < end:
                reached, failure = self._attempt(file, begin, end, take)
                if reached > begin:
                    attempt, wait_s = 0, self.patience.first_wait_s
                begin = reached
                if begin >= end:
                    return
                attempt += 1
                if attempt >= self.patience.attempts:
                    raise self._given_up(file, begin, end, failure) from failure
                time.sleep(wait_s * random.uniform(0.5, 1.0))
                wait_s = min(2 * wait_s, self.patience.longest_wait_s)

    def read(self, file: str, begin: int, end: int) -> bytes:
        """Read a file's bytes begin, …, end - 1 at once.

        Raises:
            ModelError: as `stream`.
        """
        content = bytearray()
        self.stream(file, begin, end, content.extend)
        return bytes(content)

    def _attempt(
        self, file: str, begin: int, end: int, take: Callable[[memoryview], None]
    ) -> tuple[int, Exception | None]:
        """Ask once; return how far it came, and what stopped it."""
        from httpx2 import TransportError

        reached = begin
        try:
            with self._answer(file, begin, end) as (response, skipped_bytes):
                # As it comes: what is gathered first would be lost where the connection breaks.
                for chunk in response.iter_raw():
                    fresh = memoryview(chunk)[skipped_bytes:][: end - reached]
                    skipped_bytes = max(0, skipped_bytes - len(chunk))
                    if fresh:
                        take(fresh)
                        reached += len(fresh)
                    if reached == end:
                        break
        except TransportError as error:
            return reached, error
        return reached, None

    @contextmanager
    def _answer(self, file: str, begin: int, end: int) -> Iterator[tuple[Any, int]]:
        """A response that holds the range, and how many of its bytes stand before it."""
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils._headers import build_hf_headers
        from huggingface_hub.utils._http import hf_raise_for_status, http_stream_backoff

        url = hf_hub_url(
            self.repository.name, file, revision=self.repository.revision, endpoint=self.endpoint
        )
        headers = build_hf_headers() | {"Range": f"bytes={begin}-{end - 1}", "Accept-Encoding": "identity"}
        patience = self.patience
        with http_stream_backoff(
            "GET",
            url,
            headers=headers,
            timeout=_TIMEOUT_S,
            max_retries=patience.attempts - 1,
            base_wait_time=patience.first_wait_s,
            max_wait_time=patience.longest_wait_s,
            retry_on_exceptions=(),
        ) as response:
            hf_raise_for_status(response)
            if response.status_code == HTTPStatus.OK:
                yield response, begin
                return
            given = response.headers.get("Content-Range", "")
            if response.status_code != HTTPStatus.PARTIAL_CONTENT or not given.startswith(f"bytes {begin}-"):
                raise ModelError(
                    f"{self.repository.named}: asked for bytes {begin}-{end - 1} of {file}, the server "
                    f"answers {response.status_code} with the range {given!r}: check HF_ENDPOINT and proxies"
                )
            yield response, 0

    def _given_up(self, file: str, begin: int, end: int, failure: Exception | None) -> ModelError:
        cause = f"{type(failure).__name__}: {failure}" if failure else "the answers end too early"
        return ModelError(
            f"{self.repository.named}: bytes {begin}-{end - 1} of {file} do not come from the hub, after "
            f"{self.patience.attempts} attempts ({cause}): check the network and try again; what came is kept"
        )
