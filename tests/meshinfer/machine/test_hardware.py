import platform

from meshinfer.machine.hardware import this_hardware


def test_this_computer_is_described() -> None:
    hardware = this_hardware()
    assert hardware.system.startswith(platform.system())
    assert hardware.chip
    assert hardware.cores >= 1
    assert hardware.memory_bytes > 10**8
