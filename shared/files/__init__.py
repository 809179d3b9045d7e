"""How a file is written and what its first bytes must look like; standard library only."""
