"""What people are told: words, blocks, digests. Pure; knows no channel."""
