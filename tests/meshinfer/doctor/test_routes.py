from hypothesis import given

from meshinfer.doctor.routes import read_netstat, read_proc_route
from tests.hostile import hostile

NETSTAT = """\
Routing tables

Internet:
Destination        Gateway            Flags               Netif Expire
default            192.168.50.1       UGScg                 en1
127                127.0.0.1          UCS                   lo0
169.254            link#25            UCS                   en1      !
169.254            link#22            UCSI                  en7      !
169.254.91.10/32   link#14            UCS               bridge0      !
192.168.50         link#25            UCS                   en1      !
"""
PROC = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0132A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
wlan0\t0000FEA9\t00000000\t0001\t0\t0\t1000\t0000FFFF\t0\t0\t0
eth0\t0000FEA9\t00000000\t0001\t0\t0\t100\t0000FFFF\t0\t0\t0
"""


def test_macos_has_one_route_that_names_no_interface() -> None:
    assert read_netstat(NETSTAT) == "en1"
    assert read_netstat(NETSTAT.replace("UCS                   en1", "UCSI                  en1")) == ""


def test_of_several_on_linux_the_nearest_counts() -> None:
    assert read_proc_route(PROC) == "eth0"
    assert read_proc_route("Iface\n") == read_proc_route("") == ""


@given(hostile(NETSTAT))
def test_whatever_netstat_tells_there_is_one_or_none(text: str) -> None:
    assert len(read_netstat(text)) < 100


@given(hostile(PROC))
def test_whatever_the_kernel_tells_there_is_one_or_none(text: str) -> None:
    assert len(read_proc_route(text)) <= 15
