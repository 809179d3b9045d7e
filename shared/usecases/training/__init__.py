"""The stages of a training run, each resumable; `shared.usecases.train` puts them in order."""
