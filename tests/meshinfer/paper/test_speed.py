import pytest

from meshinfer.paper.machines import find_machine
from meshinfer.paper.speed import compute_s, flops, ns_per_mib, read_bytes, starting_s
from tests.meshinfer.paper.sketches import GB, toy

ULTRA = find_machine("M3 Ultra 512GB")


def test_a_step_takes_reading_and_starting_kernels() -> None:
    model = toy(layers=10, layer_bytes=GB, modules=10)
    assert starting_s(model) == pytest.approx(100 * 9e-6)
    step_s = 10 / (819 * 0.85) + 100 * 9e-6
    assert ns_per_mib(model, ULTRA) * 10 * GB / (1 << 20) / 1e9 == pytest.approx(step_s, rel=1e-3)


def test_choosing_experts_costs_a_layer_extra() -> None:
    assert starting_s(toy(read_bytes=GB // 4)) == pytest.approx(100 * 9e-6 + 10 * 100e-6)


def test_one_row_reads_what_the_card_says() -> None:
    model = toy(read_bytes=GB // 4, experts=(8, 1), ends_bytes=7)
    assert read_bytes(model, range(3, 5), rows=1) == 2 * (GB // 4)
    assert read_bytes(model, range(8, 10), rows=1) == 2 * (GB // 4) + 7


def test_rows_read_more_experts_until_they_read_all() -> None:
    model = toy(layers=1, read_bytes=GB // 4, experts=(8, 1))
    read = [read_bytes(model, range(1), rows) for rows in (1, 2, 4, 100)]
    assert read == sorted(read)
    assert read[1] < 2 * read[0]
    assert read[-1] == pytest.approx(GB, rel=1e-3)


def test_rows_of_a_dense_model_read_it_once() -> None:
    assert read_bytes(toy(), range(10), rows=64) == 10 * GB


def test_prompts_take_two_operations_a_parameter() -> None:
    assert flops(toy(parameters=10**9), range(2, 4), tokens=7) == 2 * 7 * 2 * 10**9
    assert compute_s(flops(toy(), range(10), tokens=1000), tflops=20) == pytest.approx(20e12 / 11e12)
