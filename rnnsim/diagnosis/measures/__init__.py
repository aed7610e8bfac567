"""What is measured: each file makes the findings of one question, by rnnsim's own functions."""
