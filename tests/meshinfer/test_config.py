import pytest

from meshinfer.config import (
    ApiConfig,
    PeerConfig,
    default_name,
    is_loopback,
    parse_host_port,
    parse_stages,
)
from meshinfer.errors import ConfigError
from meshinfer.topology.desire import SPREAD_ALL, SPREAD_AUTO


def test_the_defaults_make_a_peer_on_loopback_that_follows_the_mesh() -> None:
    config = PeerConfig()
    assert (config.listen, config.model, config.api, config.spread) == (
        "127.0.0.1:0",
        None,
        None,
        SPREAD_AUTO,
    )


def test_how_a_model_is_to_be_run_stands_behind_its_name() -> None:
    assert PeerConfig(model="m").wanted == "m"
    assert PeerConfig().wanted is None
    config = PeerConfig(model="m", dtype="bfloat16", kv_bits=4, adapter="./mine")
    assert config.wanted == "m?dtype=bfloat16&kv_bits=4&adapter=./mine"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"name": "two words"}, "name 'two words'"),
        ({"name": "x" * 64}, "1 to 63"),
        ({"mesh": ""}, "mesh name ''"),
        ({"listen": "localhost"}, "--listen 'localhost': give HOST:PORT"),
        ({"listen": ":80"}, "--listen"),
        ({"peers": ("10.0.0.1:0",)}, "--peer '10.0.0.1:0'"),
        ({"peers": ("10.0.0.1:70000",)}, "--peer"),
        ({"api": ApiConfig(port=65536)}, "--api-port 65536"),
        ({"memory_bytes": 0}, "--memory"),
        ({"min_peers": 0}, "--min-peers 0"),
        ({"stages": "some"}, "--stages 'some': give auto, all, or a number"),
        ({"stages": 0}, "--stages"),
        ({"model": "m", "dtype": "int8"}, "dtype 'int8': give one of float32, bfloat16, float16"),
        ({"model": "m", "kv_bits": 5}, "a KV cache of 5 bits: give one of 2, 3, 4, 6, 8"),
        ({"kv_bits": 8}, "kv_bits=8 says how a model is to be run: name the model too"),
        ({"model": "m?kv_bits=8", "dtype": "float32"}, "without a question mark"),
        ({"is_open": True, "clear_on_cables": ("en5",)}, "--clear-on-cables a part: give one of them"),
        ({"clear_on_cables": ("en5", "")}, "takes thunderbolt, or names with commas between"),
        ({"clear_on_cables": ("thunderbolt", "en5")}, "takes thunderbolt, or names of interfaces"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        PeerConfig(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "spread"), [("auto", SPREAD_AUTO), ("all", SPREAD_ALL), ("3", 3), (1, 1), (1024, 1024)]
)
def test_stages_are_read(text: str | int, spread: int) -> None:
    assert parse_stages(text) == spread


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("mac.local:52414", ("mac.local", 52414)),
        ("[fe80::1%en2]:52414", ("fe80::1%en2", 52414)),
    ],
)
def test_addresses_are_read(text: str, expected: tuple[str, int]) -> None:
    assert parse_host_port(text, "--listen", is_any_port_allowed=True) == expected


def test_the_name_of_any_machine_makes_a_valid_peer_name() -> None:
    assert PeerConfig(name=default_name()).name


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True), ("127.8.0.1", True), ("::1", True), ("localhost", True),
        ("0.0.0.0", False), ("::", False), ("192.168.1.4", False), ("fe80::1%en2", False),
        ("mac.local", False),
    ],
)  # fmt: skip
def test_loopback_is_known_by_its_addresses(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
