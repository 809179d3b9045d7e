"""Second versions beside a champion: experiments, canaries, shadows, and what judges them."""
