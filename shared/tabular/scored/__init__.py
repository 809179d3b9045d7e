"""Scored files: rows with their answers, as CSV, JSON lines or Parquet, written and read again."""
