"""Rules about whole rows and patterns of texts, parsed and matched by code of our own."""
