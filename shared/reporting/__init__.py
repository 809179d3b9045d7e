"""Pages that people read: offline, self-contained, escaped. No port in here."""
