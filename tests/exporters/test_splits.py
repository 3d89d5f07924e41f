from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.splits import Split
from labeler_backend.errors import LabelerError


@pytest.mark.parametrize(
    ("text", "shares"),
    [
        pytest.param("train=0.8,val=0.1,test=0.1", {"train": 0.8, "val": 0.1, "test": 0.1}, id="shares"),
        pytest.param(" train = 80% , val=20 %", {"train": 0.8, "val": 0.2}, id="per cent"),
        pytest.param("all=1", {"all": 1.0}, id="one"),
        pytest.param(
            "a=0.333333,b=0.333333,c=0.333334", {"a": 0.333333, "b": 0.333333, "c": 0.333334}, id="thirds"
        ),
    ],
)
def test_parse(text: str, shares: dict[str, float]) -> None:
    split = Split.parse(text)
    assert split.names == tuple(shares)
    assert dict(split.shares) == pytest.approx(shares)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("train=0.8,val=0.1", "add up to 0.9", id="too little"),
        pytest.param("train=8,val=2", "train=8", id="whole numbers"),
        pytest.param("train=0.5,Train=0.5", "twice", id="twice but for case"),
        pytest.param("../x=1", "cannot name", id="a path"),
        pytest.param("a b=1", "cannot name", id="a space"),
        pytest.param("", "cannot name", id="nothing"),
        pytest.param("train", "train=", id="no share"),
        pytest.param("train=nan,val=1", "train=nan", id="not a number"),
        pytest.param("train=1,val=0", "val=0", id="an empty share"),
        pytest.param("train=-1,val=2", "train=-1", id="negative"),
        pytest.param("train=0.5,val=0.5,", "cannot name", id="a comma too many"),
    ],
)
def test_parse_refuses(text: str, said: str) -> None:
    with pytest.raises(LabelerError, match=said) as caught:
        Split.parse(text)
    assert "train=0.8,val=0.1,test=0.1" in str(caught.value)


@given(st.text(max_size=8), st.lists(st.floats(0.05, 1), min_size=1, max_size=5))
def test_groups_are_dealt_by_share(seed: str, weights: list[float]) -> None:
    shares = tuple((f"s{n}", weight / sum(weights)) for n, weight in enumerate(weights))
    split = Split(shares, seed)
    counts = Counter(split.of(f"{n}") for n in range(2000))
    assert sum(counts.values()) == 2000
    for name, share in shares:
        assert counts[name] / 2000 == pytest.approx(share, abs=0.06)


def test_proportions_over_many_groups() -> None:
    split = Split.parse("train=0.8,val=0.15,test=0.05")
    counts = Counter(split.of(f"task {n}") for n in range(10_000))
    assert {name: n / 10_000 for name, n in counts.items()} == pytest.approx(
        {"train": 0.8, "val": 0.15, "test": 0.05}, abs=0.01
    )


def test_where_groups_go_is_fixed() -> None:
    """Written down: another answer would move images between the splits of data sets that people have."""
    split = Split.parse("train=0.5,val=0.5")
    assert [split.of(group) for group in ("1", "2", "3", "4", "ümläut", "")] == FIXED
    assert {Split(split.shares, seed).of("1") for seed in "abcdef"} == {"train", "val"}


FIXED = ["val", "train", "train", "val", "val", "val"]
