"""The model spec: what a person declares about a model, with strong defaults."""
