"""Arrays kept on disk."""

import numpy as np

from labeler_backend.video.store import Store


def test_what_was_put_comes_back_in_any_order() -> None:
    arrays = np.random.default_rng(0).normal(size=(5, 3, 4)).astype(np.float32)
    with Store() as store:
        for position in (3, 0, 4, 1, 2):
            store.put("tokens", position, arrays[position])
            store.put("shares", position, arrays[position, :1])
        for position in range(5):
            expected = arrays[position].astype(np.float16)
            np.testing.assert_array_equal(store.get("tokens", position), expected)
            np.testing.assert_array_equal(store.get("shares", position), expected[:1])
