"""Tables: reading, splitting, learning, measuring. Data in, data out; no port in here."""
