from meshinfer.counting import Histogram, Rate


def test_a_histogram_counts_what_is_at_most_each_bound() -> None:
    histogram = Histogram((0.1, 1.0, 10.0))
    for value in (0.05, 0.1, 0.5, 20.0):
        histogram.observe(value)
    assert histogram.buckets == ((0.1, 2), (1.0, 3), (10.0, 3))
    assert (histogram.count, histogram.sum) == (4, 20.65)


def test_a_rate_is_of_the_last_two_seconds() -> None:
    rate = Rate()
    assert rate.per_s(0.0) == 0.0
    for tenth in range(100):
        rate.add(3, tenth / 10)
    assert rate.per_s(9.9) == 30.0
    assert rate.per_s(30.0) == 0.0
