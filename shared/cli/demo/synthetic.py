"""Stand-in data with the columns and value ranges of the real files and a target that can be
learned. For demos without a network; what is learned from it says nothing about the world."""

from __future__ import annotations

import math
from random import Random

from shared.cli.demo.use_cases import ADULT, Row, UseCase

ROWS = 24_000
SEED = 1994

EDUCATION = {
    "Preschool": 1,
    "1st-4th": 2,
    "5th-6th": 3,
    "7th-8th": 4,
    "9th": 5,
    "10th": 6,
    "11th": 7,
    "12th": 8,
    "HS-grad": 9,
    "Some-college": 10,
    "Assoc-voc": 11,
    "Assoc-acdm": 12,
    "Bachelors": 13,
    "Masters": 14,
    "Prof-school": 15,
    "Doctorate": 16,
}
EDUCATION_WEIGHTS = (1, 2, 3, 6, 5, 9, 12, 4, 105, 73, 14, 11, 54, 17, 6, 4)
# Name: weight and what it adds to the log-odds of the higher income.
OCCUPATIONS = {
    "Exec-managerial": (41, 1.3),
    "Prof-specialty": (41, 1.0),
    "Tech-support": (9, 0.7),
    "Sales": (37, 0.3),
    "Craft-repair": (41, 0.1),
    "Protective-serv": (6, 0.4),
    "Adm-clerical": (38, 0.0),
    "Transport-moving": (16, -0.2),
    "Machine-op-inspct": (20, -0.4),
    "Handlers-cleaners": (14, -0.8),
    "Farming-fishing": (10, -1.0),
    "Other-service": (33, -1.2),
    "Priv-house-serv": (1, -2.0),
    "Armed-Forces": (1, 0.0),
    "?": (18, -0.5),
}
WORKCLASSES = {
    "Private": 697,
    "Self-emp-not-inc": 78,
    "Local-gov": 64,
    "State-gov": 40,
    "?": 56,
    "Self-emp-inc": 34,
    "Federal-gov": 29,
    "Without-pay": 1,
    "Never-worked": 1,
}
RACES = {
    "White": 854,
    "Black": 96,
    "Asian-Pac-Islander": 32,
    "Amer-Indian-Eskimo": 10,
    "Other": 8,
}
COUNTRIES = {"United-States": 900, "Mexico": 20, "Philippines": 6, "Germany": 4, "Canada": 4}


def synthetic_rows(use_case: UseCase) -> list[Row]:
    """Rows of cells in the file's column order, the same ones every time."""
    make = _adult if use_case is ADULT else _housing
    random = Random(SEED)  # noqa: S311 - data, not secrets
    return [make(random) for _ in range(ROWS)]


def _pick(random: Random, weights: dict[str, int]) -> str:
    return random.choices(list(weights), weights=list(weights.values()))[0]


def _adult(random: Random) -> Row:
    age = min(90, 17 + int(random.gammavariate(2.2, 10)))
    sex = "Male" if random.random() < 0.67 else "Female"
    marital, relationship = _family(random, age, sex)
    education = random.choices(list(EDUCATION), weights=EDUCATION_WEIGHTS)[0]
    occupation = _pick(random, {name: weight for name, (weight, _) in OCCUPATIONS.items()})
    hours = max(1, min(99, round(random.gauss(40 if random.random() < 0.6 else 42, 11))))
    logit = (
        -7.5
        + 0.42 * (EDUCATION[education] - 9)
        + 3.2 * (marital == "Married-civ-spouse")
        + 1.5 * OCCUPATIONS[occupation][1]
        + 0.05 * (hours - 40)
        + 5.2 * math.exp(-(((age - 48) / 17) ** 2))
        + 0.4 * (sex == "Male")
    )
    rich = random.random() < 1 / (1 + math.exp(-logit))
    gain, loss = _capital(random, rich)
    return [
        *(
            str(age),
            _pick(random, WORKCLASSES),
            str(int(random.gammavariate(3.2, 59_000)) + 12_285),
        ),
        *(education, str(EDUCATION[education]), marital, occupation, relationship),
        *(_pick(random, RACES), sex, str(gain), str(loss), str(hours), _pick(random, COUNTRIES)),
        ">50K" if rich else "<=50K",
    ]


def _family(random: Random, age: int, sex: str) -> tuple[str, str]:
    if random.random() < min(0.65, max(0.02, (age - 19) / 25)):
        return "Married-civ-spouse", "Husband" if sex == "Male" else "Wife"
    if age < 27 and random.random() < 0.6:
        return "Never-married", "Own-child"
    marital = random.choices(
        ["Never-married", "Divorced", "Separated", "Widowed", "Married-spouse-absent"],
        weights=[100 / max(1, age - 16), 4, 1, max(0.1, (age - 50) / 8), 0.4],
    )[0]
    return marital, random.choices(
        ["Not-in-family", "Unmarried", "Other-relative"], weights=[6, 3, 1]
    )[0]


def _capital(random: Random, rich: bool) -> tuple[int, int]:
    if random.random() < (0.22 if rich else 0.04):
        return (
            random.choice([7688, 15024, 5178, 99999])
            if rich
            else random.choice([594, 2174, 3325, 4416])
        ), 0
    if random.random() < (0.1 if rich else 0.03):
        return 0, random.choice([1902, 1977, 1887] if rich else [1602, 1719, 1340])
    return 0, 0


def _housing(random: Random) -> Row:
    south = random.random() < 0.55
    longitude = random.gauss(-117.9 if south else -121.6, 0.8)
    latitude = random.gauss(33.9 if south else 37.7, 0.7)
    coast = abs(longitude + 118.2 if south else longitude + 122.2)
    ocean = "INLAND" if coast > 0.9 else "<1H OCEAN" if coast > 0.35 else "NEAR OCEAN"
    if not south and ocean == "NEAR OCEAN":
        ocean = "NEAR BAY"
    income = min(15.0001, max(0.4999, random.gammavariate(4.2, 0.92)))
    age = float(random.randint(2, 52))
    rooms = float(int(random.gammavariate(1.8, 1450)) + 20)
    households = max(1.0, float(int(rooms / random.uniform(4.2, 6.4))))
    bedrooms = float(int(rooms / random.uniform(4.5, 5.5)))
    population = float(int(households * random.uniform(2.1, 3.9)) + 3)
    # Income counts less and less, and more by the sea: no straight line tells this.
    place = {"INLAND": 0.7, "NEAR BAY": 1.3, "NEAR OCEAN": 1.2}.get(ocean, 1.0)
    value = 30_000 + 480_000 * place * (1 - math.exp(-income / 7)) + 15_000 * math.sin(age / 8)
    value -= 12_000 * (population / households - 3) ** 2
    value *= random.lognormvariate(0, 0.15)
    value = float(min(500_001, max(14_999, int(value / 100) * 100)))
    return [
        *(f"{longitude:.2f}", f"{latitude:.2f}", str(age), str(rooms)),
        *("" if random.random() < 0.01 else str(bedrooms), str(population), str(households)),
        *(f"{income:.4f}", str(value), ocean),
    ]
