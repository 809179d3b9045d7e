"""Somebody wants to be forgotten: find a person's rows in the lake and empty them, provably."""
