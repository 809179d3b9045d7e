"""Several sources as one table, on DuckDB behind a sandbox."""
