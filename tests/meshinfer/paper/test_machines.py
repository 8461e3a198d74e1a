import pytest

from meshinfer.machine import memory
from meshinfer.paper.machines import CHIPS, Chip, Machine, UnknownMachine, find_machine


@pytest.mark.parametrize(
    ("text", "name", "gib", "bandwidth_gb_s"),
    [
        ("M3 Ultra 512GB", "M3 Ultra", 512, 819),
        ("m3 ultra 512 gb", "M3 Ultra", 512, 819),
        ("M3Ultra 512GiB", "M3 Ultra", 512, 819),
        ("512GB M3 Ultra", "M3 Ultra", 512, 819),
        ("M3 Ultra (512G)", "M3 Ultra", 512, 819),
        ("M3 Ultra", "M3 Ultra", 512, 819),
        ("Mac Studio M3 Ultra with 256 GB memory", "M3 Ultra", 256, 819),
        ("Apple M4 Max 128GB", "M4 Max", 128, 546),
        ("MacBook Pro M4 Max 36 GB", "M4 Max", 36, 410),
        ("mac mini m4 pro 64gb", "M4 Pro", 64, 273),
        ("M3 Max 96GB", "M3 Max", 96, 300),
        ("M1", "M1", 16, 68.25),
        ("DGX Spark", "DGX Spark", 128, 273),
        ("nvidia dgx-spark 128gb", "DGX Spark", 128, 273),
        ("GeForce RTX 4090", "RTX 4090", 24, 1008),
        ("rtx pro 6000", "RTX PRO 6000", 96, 1792),
    ],
)
def test_machines_are_found_as_people_write_them(
    text: str, name: str, gib: int, bandwidth_gb_s: float
) -> None:
    machine = find_machine(text)
    assert (machine.chip.name, machine.memory_gib) == (name, gib)
    assert machine.chip.bandwidth_gb_s == bandwidth_gb_s


def test_of_two_gpus_the_full_one_is_meant_unless_the_cores_are_told() -> None:
    assert find_machine("M3 Ultra 256GB").chip.gpu_cores == 80
    assert find_machine("M3 Ultra 60-core 256GB").chip.gpu_cores == 60
    assert find_machine("M2 Max 38 GPU cores 32GB").chip.gpu_cores == 38


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("M3 Ultr 512GB", r"unknown machine 'M3 Ultr 512GB': did you mean M3 Ultra or"),
        ("RTX 409", r"did you mean RTX 4090 or"),
        ("toaster", r"it is none of M1, M1 Pro, M1 Max, M1 Ultra, M2,"),
        ("", r"it is none of M1,"),
        ("M3 Ultra with 256 GB of", r"did you mean M3 Ultra"),
        ("M3 Ultra 128GB", r"M3 Ultra is sold with 96, 256 or 512 GB"),
        ("M4 Max 36GB 40-core", r"M4 Max is sold with 48, 64 or 128 GB"),
        ("M4 Max 41-core", r"M4 Max has 40 or 32 GPU cores"),
        ("DGX Spark 256GB", r"DGX Spark is sold with 128 GB"),
    ],
)
def test_what_is_not_in_the_table_is_named_with_what_comes_close(text: str, words: str) -> None:
    with pytest.raises(UnknownMachine, match=words):
        find_machine(text)


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: f"{chip.name} {chip.gpu_cores}")
def test_every_row_can_be_asked_for_and_tells_its_source(chip: Chip) -> None:
    cores = f" {chip.gpu_cores}-core" if chip.gpu_cores else ""
    for gib in chip.memory_gib:
        assert find_machine(f"{chip.name}{cores} {gib}GB") == Machine(chip, gib)
    assert chip.source.startswith("https://")
    assert chip.bandwidth_gb_s > 0 < chip.tflops


def test_a_machine_offers_the_share_that_a_peer_would_take() -> None:
    assert find_machine("M3 Ultra 512GB").budget_bytes == int((512 << 30) * memory.SHARE_OF_TOTAL)
