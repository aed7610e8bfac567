"""Trainings as a paper describes them, at a budget that is stated."""
