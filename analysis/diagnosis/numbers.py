"""The tables of a report: findings question by question, and what is not known."""

from collections.abc import Sequence

from rnnsim import Finding
from rnnsim.diagnosis.result import (
    APART,
    Comparison,
    Diagnosis,
    Row,
    missing_of,
    outcome,
    quantity,
    threshold,
)

from ..frame.report import Table

QUESTIONS: dict[str, tuple[str, ...]] = {
    "The gradient": (
        "range", "gradient_rate", "change_over_window", "rate_over_window", "lambda_1",
    ),
    "Reach and window": (
        "reach_W_hh", "reach_W_xh", "gradient_by_layer_and_gate", "window_error",
        "window_for_10_percent", "window_for_1_percent",
    ),
    "Forward memory": ("forward_memory", "state_memory"),
    "Noise beside bias": ("noise_and_bias", "best_window", "horizon"),
    "States and gates": (
        "carried_state", "idle_units", "effective_rank", "gates", "time_scale",
    ),
    "Clipping": (
        "clipping_by_norm", "clipping_by_norm_cosine", "clipping_by_value",
        "clipping_by_value_cosine",
    ),
    "The matrix of the recurrence, W_hh": ("spectrum", "non_normality"),
}  # fmt: skip
_OTHERS = "Other findings"
_HEADS = ("finding", "says", "number", "threshold", "in words", "averaged over")


def tables(found: Diagnosis) -> list[Table]:
    """What is known, question by question, and at the end what is not, and would need what."""
    known = [(question, [_row(each) for each in findings if each.known])
             for question, findings in by_question(found)]  # fmt: skip
    made = [Table(question, _HEADS, rows) for question, rows in known if rows]
    missing = [(", ".join(names), needs) for needs, names in missing_of(found).items()]
    more = Table("What is not known", ("finding", "what it would need"), missing)
    return [*made, *([more] if missing else [])]


def tables_of_both(both: Comparison, labels: Sequence[str]) -> list[Table]:
    """The findings of both in a row, and whether their numbers are apart beyond their errors."""
    rows = {row.name: row for row in both.rows}
    heads = ("finding", *labels, "apart")
    made = []
    for question, findings in by_question(both.first):
        cells = [
            (row.name, _side(row.first), _side(row.second), _apart(row))
            for row in (rows[each.name] for each in findings)
            if row.first.known or row.second.known
        ]
        made += [Table(question, heads, cells)] if cells else []
    missing = [
        (label, ", ".join(names), needs)
        for label, each in zip(labels, (both.first, both.second), strict=True)
        for needs, names in missing_of(each).items()
    ]
    more = Table("What is not known", ("of", "finding", "what it would need"), missing)
    return [*made, *([more] if missing else [])]


def by_question(found: Diagnosis) -> list[tuple[str, list[Finding]]]:
    """Findings by what they answer, each once; those of no question last."""
    asked = {name: question for question, names in QUESTIONS.items() for name in names}
    groups: dict[str, list[Finding]] = {question: [] for question in (*QUESTIONS, _OTHERS)}
    for finding in found:
        groups[asked.get(finding.name, _OTHERS)].append(finding)
    return [(question, findings) for question, findings in groups.items() if findings]


def _row(finding: Finding) -> tuple[str, ...]:
    numbers = quantity(finding), threshold(finding)
    return (finding.name, finding.says, *numbers, finding.words, finding.over)


def _apart(row: Row) -> str:
    """Nothing where neither has a number."""
    return APART[row.apart] if row.first.number_known or row.second.number_known else ""


def _side(finding: Finding) -> str:
    return outcome(finding) if finding.known else "not known"
