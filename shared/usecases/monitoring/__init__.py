"""Which windows are due, their rows, and what is said of them; `shared.usecases.monitor` judges."""
