from meshinfer.doctor.commands import add_address, set_mtu


def test_each_system_has_commands_of_its_own() -> None:
    assert set_mtu("en5", 9000, "darwin") == "sudo ifconfig en5 mtu 9000"
    assert set_mtu("eno1", 9000, "linux") == "sudo ip link set eno1 mtu 9000"
    assert add_address("en5", "10.0.0.1/30", "darwin") == "sudo ifconfig en5 inet 10.0.0.1/30 alias"
    assert add_address("eno1", "10.0.0.1/30", "linux") == "sudo ip address add 10.0.0.1/30 dev eno1"
