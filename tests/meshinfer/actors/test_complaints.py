from meshinfer.actors.complaints import Complaints
from meshinfer.transports.base import Address
from tests.meshinfer.actors.mailbag import tapped_log

MAC, BOX = Address("tcp://mac:1"), Address("tcp://box:1")


async def test_the_same_about_the_same_address_is_said_once_until_all_was_well_there() -> None:
    complaints = Complaints()
    with tapped_log() as log:
        for _ in range(3):
            complaints.about(MAC, "cannot reach tcp://mac:1: no route")
            complaints.about(BOX, "no route")
        complaints.settled(MAC)
        complaints.about(MAC, "cannot reach tcp://mac:1: no route")
        complaints.about(MAC, "it is over")
        said = [await log.line_with("") for _ in range(4)]
    assert said == [
        "cannot reach tcp://mac:1: no route",
        "tcp://box:1: no route",
        "cannot reach tcp://mac:1: no route",
        "tcp://mac:1: it is over",
    ]
