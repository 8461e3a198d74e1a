import pytest

from meshinfer.transports.weather import Weather


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Weather(loss=1.5),
        lambda: Weather(duplicate=-0.1),
        lambda: Weather(break_chance=float("nan")),
        lambda: Weather(delay_s=-1.0),
        lambda: Weather(jitter_s=float("inf")),
        lambda: Weather(bytes_per_s=0.0),
    ],
)
def test_weather_that_cannot_be_is_refused(wrong: "type[Weather]") -> None:
    with pytest.raises(ValueError, match=r"weather|wire"):
        wrong()
