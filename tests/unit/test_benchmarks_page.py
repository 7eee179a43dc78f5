"""The page of benchmarks says what was measured."""

from __future__ import annotations

from results_page import PAGE, render_page, render_table


def test_page_is_made_from_the_results_as_they_are():
    assert PAGE.read_text("utf-8") == render_page(), "run python benchmarks/results_page.py"


def test_a_figure_whose_peer_could_not_be_measured_claims_nothing():
    figure = {
        "figure": "16 streams, against vLLM: speed",
        "value": 1234.5,
        "unit": "tokens/s",
        "peer": None,
        "ratio": None,
        "target": 1.2,
        "holds": None,
        "limited_by": "not measured",
    }
    row = render_table([figure]).splitlines()[-1]
    assert row == "| 16 streams, against vLLM: speed | 1,234 tokens/s |  |  | 1.2 |  | not measured |"
