"""What the tools of a system tell about a machine: texts that nobody promises to keep as they are."""

from collections.abc import Callable, Iterator

from meshinfer.doctor.iptables import read_iptables
from meshinfer.doctor.nftables import read_nftables
from meshinfer.doctor.packet_filter import verdict
from meshinfer.doctor.routes import read_netstat, read_proc_route
from meshinfer.machine.hardwareports import read_hardware_ports
from meshinfer.machine.ibverbs import read_devices, read_states
from meshinfer.machine.ifconfig import read_ifconfig
from meshinfer.machine.power_macos import Samples
from meshinfer.machine.rdma_ctl import read_rdma_ctl
from meshinfer.machine.serviceorder import read_service_order
from meshinfer.machine.thunderbolt_profile import read_thunderbolt
from tests.meshinfer.doctor.test_iptables import UFW
from tests.meshinfer.doctor.test_nftables import USUAL
from tests.meshinfer.doctor.test_routes import NETSTAT, PROC
from tests.meshinfer.machine.test_power_macos import TWO_SAMPLES
from tests.platform import FOLDER

from .target import JSON, Shape, Target, of_text


def _recorded(tool: str) -> Callable[[], Iterator[bytes]]:
    return lambda: (file.read_bytes() for file in sorted(FOLDER.glob(f"*.{tool}")))


def _sampled(text: str) -> float:
    samples = Samples()
    for line in text.splitlines():
        samples.take(line)
    return samples.joules


def _target(
    name: str,
    read: Callable[[str], object],
    seeds: Callable[[], Iterator[bytes]],
    shape: Shape | None = None,
) -> Target:
    return Target(f"platform.{name}", of_text(read), (), seeds, shape)


PLATFORM_TARGETS = (
    _target("ifconfig", read_ifconfig, _recorded("ifconfig.txt")),
    _target("hardwareports", read_hardware_ports, _recorded("hardwareports.txt")),
    _target("serviceorder", read_service_order, _recorded("serviceorder.txt")),
    _target("thunderbolt", read_thunderbolt, _recorded("thunderbolt.json"), JSON),
    _target("ibv_devices", read_devices, _recorded("ibv_devices.txt")),
    _target("ibv_devinfo", read_states, _recorded("ibv_devinfo.txt")),
    _target("rdma_ctl", read_rdma_ctl, lambda: iter((b"enabled\n", b"disabled"))),
    _target("netstat", read_netstat, lambda: iter((NETSTAT.encode(),))),
    _target("proc_route", read_proc_route, lambda: iter((PROC.encode(),))),
    _target(
        "iptables",
        lambda text: verdict(read_iptables(text), "INPUT", "tcp", 52414),
        lambda: iter((UFW.encode(),)),
    ),
    _target("nftables", read_nftables, lambda: iter((USUAL.encode(),)), JSON),
    _target("powermetrics", _sampled, lambda: iter((TWO_SAMPLES.encode(),))),
)
