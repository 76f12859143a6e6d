from tfseg.core.words import duration, shorten


def test_durations_are_rounded_to_what_people_write():
    for seconds, text in (
        (0, "0 s"),
        (41.2, "41 s"),
        (59.6, "1 min 00 s"),
        (192, "3 min 12 s"),
        (3599.4, "59 min 59 s"),
        (7500, "2 h 05 min"),
        (86_399, "23 h 59 min"),
    ):
        assert duration(seconds) == text


def test_a_long_name_ends_in_an_ellipsis():
    assert shorten("a" * 24) == "a" * 24
    assert shorten("a" * 25) == "a" * 23 + "…"
    assert shorten("liver", 3) == "li…"
