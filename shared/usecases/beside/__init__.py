"""Second versions from their start to their end: experiments, canaries and shadows."""
