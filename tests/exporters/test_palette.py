import numpy as np

from exporters.legend import legend_picture
from exporters.palette import as_hex, colour, pascal


def test_colours_of_ids_are_distinct_and_fixed() -> None:
    assert len({colour(n) for n in range(256)}) == 256
    assert colour(0) == (0, 0, 0)
    assert as_hex(colour(1)) == "#e6194b"
    assert pascal(15) == (192, 128, 128)  # a person, in PASCAL VOC
    assert colour(1000) == pascal(1000)


def test_the_legend_shows_every_colour() -> None:
    picture = legend_picture({"car": 1, "Straße\n" * 50: 2, **{f"c{n}": n for n in range(3, 60)}})
    shown = {tuple(c) for c in np.unique(picture.reshape(-1, 3), axis=0).tolist()}
    assert {colour(n) for n in range(60)} <= shown
    assert picture.shape[0] < 1200
