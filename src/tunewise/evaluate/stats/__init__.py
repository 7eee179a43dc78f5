"""How sure a measurement is: intervals and tests for scores, and for paired differences between two rivals.

Pure functions; the random generator is passed in. The unit is the *group* of examples (near-duplicates, one
customer, one document), because examples of a group are right or wrong together and counting them
as independent claims more than was measured. All intervals are 95%. Start reading at `gains.py`.
"""

from tunewise.evaluate.stats.claims import Zone, gain_over_all, holm, non_inferiority_margin, zone_of
from tunewise.evaluate.stats.gains import MetricKind, PairedGain, paired_gain, settle_orders
from tunewise.evaluate.stats.groups import MIN_DIFFERING_GROUPS, design_effect
from tunewise.evaluate.stats.intervals import mean_interval, score_interval, tango, wilson
from tunewise.evaluate.stats.macro_f1 import macro_f1, macro_f1_gain, macro_f1_interval
from tunewise.evaluate.stats.permutation import ChanceOfGain, flip_test, sign_flip

__all__ = [
    "MIN_DIFFERING_GROUPS",
    "ChanceOfGain",
    "MetricKind",
    "PairedGain",
    "Zone",
    "design_effect",
    "flip_test",
    "gain_over_all",
    "holm",
    "macro_f1",
    "macro_f1_gain",
    "macro_f1_interval",
    "mean_interval",
    "non_inferiority_margin",
    "paired_gain",
    "score_interval",
    "settle_orders",
    "sign_flip",
    "tango",
    "wilson",
    "zone_of",
]
