"""What is shown of a picture's proposals."""

from __future__ import annotations

import pytest

from labeler_backend.masks.rle import encode
from labeler_backend.proposals.propose import ProposalSettings
from labeler_backend.proposals.types import Proposal
from labeler_backend.studio.showing import EMERGENT, LEARNED, asked, showing
from tests.studio.made import config_of, control, ellipse

SCORES = (0.9, 0.44, 0.31, 0.29, 0.06, 0.04)


@pytest.mark.parametrize(
    ("attributes", "learned", "expected"),
    [
        pytest.param("", False, (0.9,), id="what emerges: none far less likely than the best"),
        pytest.param("", True, (0.9, 0.44, 0.31), id="a head's: each that is likely enough by itself"),
        pytest.param('model_score_threshold="0.4"', True, (0.9, 0.44), id="the tag wants surer ones"),
        pytest.param('model_score_threshold="0.05"', True, SCORES[:5], id="the tag wants less sure ones"),
        pytest.param('model_max_proposals="2"', True, (0.9, 0.44), id="the tag wants few"),
        pytest.param('model_overlap="1"', False, SCORES[:5], id="the tag wants them all"),
    ],
)
def test_which_scores_are_shown(attributes: str, learned: bool, expected: tuple[float, ...]) -> None:
    [answer] = config_of(control("BrushLabels", attributes=attributes)).answers
    apart = [
        Proposal(encode(ellipse(centre=(15 + 25 * n, 40), radii=(10, 10))), score, "made")
        for n, score in enumerate(SCORES)
    ]
    shown = showing(answer, learned=learned).of(reversed(apart))
    assert tuple(one.score for one in shown) == expected


@pytest.mark.parametrize(("usual", "kept"), [(EMERGENT, 1), (LEARNED, 2)])
def test_what_lies_half_on_a_better_one_is_shown_where_it_was_learned(usual: object, kept: int) -> None:
    [answer] = config_of(control("BrushLabels")).answers
    dress, belt = ellipse(centre=(50, 40), radii=(30, 30)), ellipse(centre=(80, 40), radii=(10, 10))
    both = [Proposal(encode(dress), 0.9, "made"), Proposal(encode(belt), 0.8, "made")]
    assert 0.3 < (dress & belt).sum() / belt.sum() < 0.7
    assert len(showing(answer, learned=usual is LEARNED).of(both)) == kept


def test_as_many_are_asked_for_as_the_most_generous_tag_shows() -> None:
    [few] = config_of(control("BrushLabels", attributes='model_max_proposals="3"')).answers
    [weak] = config_of(control("BrushLabels", attributes='model_score_threshold="0.01"')).answers
    assert asked([few], learned=False) == ProposalSettings()
    assert asked([few, weak], learned=False) == ProposalSettings(min_score=0.01)
    assert asked([few, weak], learned=True) == ProposalSettings(LEARNED.max_proposals, 0.01)
