"""Numbers from scores: ranking, significance, sculpting, intervals. NumPy only; higher score = more anomalous."""

from qad.metrics.advantage import Ratio, rejection_ratio
from qad.metrics.intervals import Difference, auc_error, bootstrap_weights, paired_difference, percentile_interval, wilson
from qad.metrics.ranking import Roc, auc, fpr_at_tpr, rejection, roc, tpr_at_fpr
from qad.metrics.sculpting import jensen_shannon, mass_sculpting
from qad.metrics.shots import auc_under_shots, auc_without_shots, outcome_error, score_error, shots_for
from qad.metrics.significance import max_sic, sic

__all__ = ["Difference", "Ratio", "Roc", "auc", "auc_error", "auc_under_shots", "auc_without_shots",
           "bootstrap_weights", "fpr_at_tpr", "jensen_shannon", "mass_sculpting", "max_sic", "outcome_error",
           "paired_difference", "percentile_interval", "rejection", "rejection_ratio", "roc", "score_error", "shots_for", "sic",
           "tpr_at_fpr", "wilson"]
