from tfseg.core import colors


def test_labels_beyond_the_palette_begin_again():
    assert [colors.label_color(index) for index in (1, 7, 8)] == ["#E69F00", "#0072B2", "#E69F00"]
    assert colors.label_colors(["a", "b"]) == {"a": colors.ORANGE, "b": colors.SKY_BLUE}


def test_a_palette_has_no_colour_twice():
    for palette in (colors.LINE_COLORS, colors.LABEL_COLORS, (colors.MISSED, colors.FALSE_ALARM, colors.CONFUSED)):
        assert len({colors.rgb(color) for color in palette}) == len(palette)


def test_rgb_is_red_green_blue():
    assert colors.rgb("#0072B2") == (0, 0x72, 0xB2)
