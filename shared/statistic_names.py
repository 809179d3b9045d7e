"""The statistics that say how far a column moved: names, what they are of, how people write them.

Specs, judgements and reports share them; knows nothing of how they are reckoned.
"""

from __future__ import annotations

from typing import Literal

Statistic = Literal["psi", "js", "chi_square", "ks", "wasserstein"]
OfNumber = Literal["psi", "js", "ks", "wasserstein"]
OfCategory = Literal["psi", "js", "chi_square"]
OF_KIND: dict[str, tuple[Statistic, ...]] = {
    "number": ("psi", "js", "ks", "wasserstein"),
    "category": ("psi", "js", "chi_square"),
}
WRITTEN: dict[str, str] = {
    "psi": "PSI",
    "js": "JS distance",
    "chi_square": "Cramér's V",
    "ks": "KS distance",
    "wasserstein": "Wasserstein distance",
}
