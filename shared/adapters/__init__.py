"""Adapters: the only place that knows vendors. Each implements a Protocol of `shared.ports`."""
