"""Commands that change an interface, for people to type: meshinfer runs none of them."""


def set_mtu(name: str, mtu: int, platform: str) -> str:
    """Sets the size of packets."""
    if platform == "darwin":
        return f"sudo ifconfig {name} mtu {mtu}"
    return f"sudo ip link set {name} mtu {mtu}"


def add_address(name: str, network: str, platform: str) -> str:
    """Adds an address such as `10.52.0.1/30`."""
    if platform == "darwin":
        return f"sudo ifconfig {name} inet {network} alias"
    return f"sudo ip address add {network} dev {name}"
