"""What tests share: the whole system in memory, ports that die, small data."""
