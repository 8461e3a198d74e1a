"""What two peers agree on before a fabric joins them."""

import pytest

from meshinfer.fabric import FabricMeans, answer, interface_of, means_of, offer, why_wrong
from meshinfer.messages import FabricAnswer, FabricOffer

NEAR = {"cable-1": "rdma_en5", "cable-2": "rdma_en3"}
FAR = {"cable-2": "rdma_en2", "cable-3": "rdma_en6"}


@pytest.mark.parametrize(
    ("option", "devices", "backend", "is_preferred"),
    [
        ("off", NEAR, "", False),
        ("auto", {}, "", False),
        ("auto", NEAR, "jaccl", False),
        ("jaccl", NEAR, "jaccl", True),
        ("jaccl", {}, "", False),
        ("ring", {}, "ring", True),
        ("ring", NEAR, "ring", True),
    ],
)
def test_auto_takes_rdma_where_it_is_ready_and_a_backend_by_name_is_preferred(
    option: str, devices: dict[str, str], backend: str, is_preferred: bool
) -> None:
    means = means_of(option, devices, "it needs macOS")
    assert (means.backend, means.is_preferred) == (backend, is_preferred)
    assert bool(means.why_not) != bool(backend)


def test_two_that_share_a_cable_agree_on_the_device_at_each_end_of_it() -> None:
    near, far = means_of("auto", NEAR, ""), means_of("jaccl", FAR, "")
    agreed = answer(far, offer(near))
    assert isinstance(agreed, FabricAnswer)
    assert agreed.devices == ("rdma_en3", "rdma_en2")
    assert why_wrong(near, agreed) == ""
    assert [interface_of(agreed, rank) for rank in (0, 1)] == ["en3", "en2"]


def test_the_ring_needs_no_devices() -> None:
    means = means_of("ring", {}, "")
    assert offer(means) == FabricOffer("ring")
    assert answer(means, offer(means)) == FabricAnswer()
    assert why_wrong(means, FabricAnswer()) == ""
    assert interface_of(FabricAnswer(), 0) == ""


@pytest.mark.parametrize(
    ("means", "offered", "reason"),
    [
        (
            means_of("off", {}, ""),
            FabricOffer("ring"),
            "it has no fabric (--fabric off), and ring was offered",
        ),
        (means_of("ring", {}, ""), FabricOffer("jaccl"), "it has fabrics over ring, and jaccl was offered"),
        (
            means_of("auto", NEAR, ""),
            FabricOffer("jaccl", (("cable-9", "rdma_en5"),)),
            "no Thunderbolt cable that can do RDMA joins the two",
        ),
    ],
)
def test_an_offer_that_cannot_be_taken_is_refused_with_the_reason(
    means: FabricMeans, offered: FabricOffer, reason: str
) -> None:
    assert answer(means, offered) == reason


@pytest.mark.parametrize("devices", [(), ("rdma_en9", "rdma_en2")])
def test_an_answer_with_a_device_that_was_not_offered_is_told(devices: tuple[str, ...]) -> None:
    assert "was answered with the devices" in why_wrong(means_of("auto", NEAR, ""), FabricAnswer(devices))


@pytest.mark.parametrize("device", ["", "rdma en5", "--data", "x" * 64, "rdma_é"])
def test_devices_have_names_that_can_be_words_of_a_command(device: str) -> None:
    with pytest.raises(ValueError, match="named like rdma_en5"):
        FabricAnswer((device, "rdma_en2"))
    with pytest.raises(ValueError, match="named like rdma_en5"):
        FabricOffer("jaccl", (("cable", device),))
