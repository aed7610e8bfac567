"""How it is compared: workers, rounds, agreement, reports."""
