"""Aggregates of joined sources, the same in training, scoring and prediction."""
