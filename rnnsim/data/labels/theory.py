"""Variables of formulas, on as many axes as their arguments have."""

from rnnsim.data.labels.results import Labels
from rnnsim.data.labels.tables import LN, NONE, RATE, STEPS, Entries, table

_MEAN_FIELD: Entries = {
    "gain": ("", NONE, "factor of W_hh"),
    "input_variance": ("", NONE, "variance of W_xh x_t"),
    "bias_variance": ("", NONE, "variance of biases"),
    "variance": ("", NONE, "variance q of the pre-activation"),
    "state_variance": ("", NONE, "E[phi(a)^2] of the states"),
    "chi": ("", NONE, "g^2 E[phi'(a)^2], factor per step of squared gradient norms"),
    "largest_exponent": ("", RATE, "lambda_1, mean field"),
    "mean_exponent": ("", RATE, "mean of all Lyapunov exponents, mean field"),
    "norm_length": ("", STEPS, "steps over which gradient norms fall by a factor e"),
    "squared_norm_length": ("", STEPS, "steps over which squared norms fall by a factor e"),
}
_AICHER: Entries = {
    "log_beta": ("", RATE, "ln beta, decay of gradient norms per lag"),
    "beta": ("", NONE, "beta, decay of gradient norms per lag"),
}


def _axes(ndim: int) -> tuple[str, ...]:
    return tuple(f"axis_{i}" for i in range(ndim))


def mean_field(ndim: int) -> Labels:
    """Labels of a mean field of so many axes."""
    return Labels(table(_axes(ndim), _MEAN_FIELD))


def aicher(ndim: int) -> Labels:
    """Labels of a bound of so many axes, windows the last: which they are it does not know."""
    lead = _axes(ndim - 1)
    bound = {"log_bound": ("given_window", LN, "ln of the bound of the truncation error")}
    numbers: Entries = {
        "tau": ("", STEPS, "lag from which norms decay"),
        "log_M": ("", LN, "ln M"),
    }
    return Labels(
        table(lead, bound | _AICHER) | table((), numbers), sizes={"given_window": "n_windows"}
    )
