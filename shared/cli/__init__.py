"""The command line: what people type. Uses the ports and the local stack; nothing imports it."""
