"""What the demo can show: two public data sets, how their files look, and a plausible upstream
change that a champion cannot know about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Row = list[str]


@dataclass(frozen=True)
class UseCase:
    """`sha256` is of the uncompressed file. `skew` weighs rows for the shifted period, `change`
    rewrites the cells of one of its rows, `story` says in one sentence what happened upstream."""

    model: str
    title: str
    file_name: str
    url: str
    sha256: str
    columns: tuple[str, ...]
    target: str
    header: bool
    separator: str
    metric: str
    story: str
    skew: Callable[[Mapping[str, str]], float]
    change: Callable[[dict[str, str]], dict[str, str]]


# --- Adult: will this person earn more than 50,000 dollars? --------------------------------------

ADULT_COLUMNS = (
    *("age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation"),
    *("relationship", "race", "sex", "capital_gain", "capital_loss", "hours_per_week"),
    *("native_country", "income"),
)
MARITAL = {
    "Married-civ-spouse": "Married",
    "Married-AF-spouse": "Married",
    "Married-spouse-absent": "Married",
    "Never-married": "Single",
    "Divorced": "No longer married",
    "Separated": "No longer married",
    "Widowed": "No longer married",
}
RELATIONSHIP = {
    "Husband": "Spouse",
    "Wife": "Spouse",
    "Not-in-family": "Lives alone",
    "Own-child": "Child",
    "Unmarried": "Partner",
    "Other-relative": "Relative",
}


def younger(row: Mapping[str, str]) -> float:
    """Applicants of the shifted period are younger: half as likely per 12 years of age."""
    return float(2 ** ((38 - float(row["age"])) / 12))


def new_form(row: dict[str, str]) -> dict[str, str]:
    """A new application form: other words for the family, capital in thousands."""
    return {
        **row,
        "marital_status": MARITAL.get(row["marital_status"], row["marital_status"]),
        "relationship": RELATIONSHIP.get(row["relationship"], row["relationship"]),
        "capital_gain": thousands(row["capital_gain"]),
        "capital_loss": thousands(row["capital_loss"]),
    }


def thousands(cell: str) -> str:
    return f"{float(cell) / 1000:g}"


ADULT = UseCase(
    model="adult_income",
    title="Adult / Census Income (UCI): does a person earn more than 50,000 dollars a year?",
    file_name="adult.data",
    url="https://archive.ics.uci.edu/ml/machine-learning-databases/adult/adult.data",
    sha256="5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
    columns=ADULT_COLUMNS,
    target="income",
    header=False,
    separator=", ",
    metric="AUROC",
    story=(
        "a new application form spells marital status and relationship in other words and asks "
        "for capital gains and losses in thousands, and applicants have become younger"
    ),
    skew=younger,
    change=new_form,
)

# --- California housing: what is a house in this block worth? ------------------------------------

HOUSING_COLUMNS = (
    *("longitude", "latitude", "housing_median_age", "total_rooms", "total_bedrooms"),
    *("population", "households", "median_income", "median_house_value", "ocean_proximity"),
)
OCEAN = {
    "<1H OCEAN": "UNDER 1 HOUR",
    "INLAND": "INTERIOR",
    "ISLAND": "ISLE",
    "NEAR BAY": "BAY SIDE",
    "NEAR OCEAN": "SEA SIDE",
}


def southern(row: Mapping[str, str]) -> float:
    """The shifted period covers mostly Southern California."""
    return 6.0 if float(row["longitude"]) > -119.2 else 1.0


def new_supplier(row: dict[str, str]) -> dict[str, str]:
    """A new supplier: income in thousands instead of tens of thousands, other words for the sea."""
    return {
        **row,
        "median_income": f"{float(row['median_income']) * 10:g}",
        "ocean_proximity": OCEAN.get(row["ocean_proximity"], row["ocean_proximity"]),
    }


HOUSING = UseCase(
    model="california_housing",
    title="California housing (1990 census): the median value of houses in a block",
    file_name="housing.csv",
    url="https://raw.githubusercontent.com/ageron/handson-ml2/master/datasets/housing/housing.csv",
    sha256="2364609dc48bec7df3ba9dbb7041478e704ecddcee70ef1827ec3fc49d22c0cc",
    columns=HOUSING_COLUMNS,
    target="median_house_value",
    header=True,
    separator=",",
    metric="RMSE",
    story=(
        "a new supplier gives income in thousands, not in tens of thousands, and spells the "
        "distance to the ocean in other words, and most blocks are in Southern California now"
    ),
    skew=southern,
    change=new_supplier,
)

USE_CASES = {use_case.model: use_case for use_case in (ADULT, HOUSING)}
