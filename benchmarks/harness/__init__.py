"""How it is compared: workloads, workers, agreement, reports."""
