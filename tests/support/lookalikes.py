"""What a draft of each lookalike of a public data set should find."""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.lookalike_files import (
    Make,
    abalone,
    adult,
    air_quality,
    as_array,
    bank,
    beijing,
    bikes,
    cover_type,
    events,
    german_excel,
    heart,
    house_prices,
    latin,
    salaries,
    seeds,
    student,
    telco,
    titanic,
    wine_quality,
    zipped,
)


@dataclass(frozen=True, slots=True)
class Lookalike:
    """What a file is called, how it is made, what is to be found in it. `left_out` are columns
    that are no features; `quarantined` is the share of rows that nothing can be learned from."""

    name: str
    make: Make
    rows: int
    target: str
    task: str
    features: int
    delimiter: str = ","
    encoding: str = "utf-8"
    decimal: str = "."
    header: bool = True
    numbers: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    positive: str | None = None
    quarantined: float = 0.0


LOOKALIKES = (
    Lookalike(
        *("bank.csv", bank, 2000, "y", "binary", 15, ";"),
        positive="yes",
        numbers=("age", "balance", "pdays"),
        texts=("job", "poutcome"),
    ),
    Lookalike(
        *("winequality.csv", wine_quality, 1500, "quality", "regression", 11, ";"),
        numbers=("fixed acidity", "pH"),
    ),
    Lookalike(
        *("AirQualityUCI.csv", air_quality, 1500, "C6H6(GT)", "regression", 7, ";"),
        decimal=",",
        numbers=("CO(GT)", "T", "AH"),
        texts=("Time",),
        left_out=("Date", "column_10", "column_11"),
        quarantined=0.02,
    ),
    Lookalike(
        *("student-mat.csv", student, 395, "G3", "regression", 11, ";"),
        numbers=("G1", "G2", "age"),
        texts=("Mjob",),
    ),
    Lookalike(
        *("kunden.csv", german_excel, 800, "Gekündigt", "binary", 4, ";"),
        decimal=",",
        positive="ja",
        numbers=("Größe", "Preis", "Umsatz"),
        texts=("Ort",),
    ),
    Lookalike(
        *("bestand.csv", latin, 6000, "treue", "binary", 3),
        encoding="cp1252",
        positive="ja",
        numbers=("alter",),
        texts=("stadt",),
        left_out=("kunde",),
    ),
    Lookalike(
        *("adult.data", adult, 3000, "column_15", "binary", 13),
        header=False,
        positive=">50K",
        numbers=("column_1", "column_3", "column_13"),
        texts=("column_2", "column_14"),
        left_out=("column_12",),
    ),
    Lookalike(
        *("abalone.data", abalone, 2000, "column_9", "regression", 8),
        header=False,
        numbers=("column_2",),
        texts=("column_1",),
    ),
    Lookalike(
        *("processed.cleveland.data", heart, 303, "column_9", "binary", 8),
        header=False,
        positive="1",
        numbers=("column_1", "column_7", "column_8"),
    ),
    Lookalike(
        *("seeds_dataset.txt", seeds, 300, "column_4", "multiclass", 3, "\t"),
        header=False,
        numbers=("column_1",),
        quarantined=0.02,
    ),
    Lookalike(
        *("covtype.data.gz", zipped(cover_type), 6000, "column_55", "multiclass", 54),
        header=False,
        numbers=("column_1", "column_54"),
    ),
    Lookalike(
        *("titanic.csv", titanic, 891, "Survived", "binary", 7),
        positive="1",
        numbers=("Age", "Fare", "Pclass"),
        texts=("Sex", "Embarked"),
        left_out=("PassengerId", "Name", "Ticket", "Cabin"),
    ),
    Lookalike(
        *("WA_Fn-UseC_-Telco-Customer-Churn.csv", telco, 2000, "Churn", "binary", 7),
        positive="Yes",
        numbers=("TotalCharges", "SeniorCitizen", "tenure"),
        texts=("Contract",),
        left_out=("customerID",),
    ),
    Lookalike(
        *("train.csv", house_prices, 1460, "SalePrice", "regression", 79),
        numbers=("LotFrontage", "Area0", "YrSold"),
        texts=("Kind0", "PoolQC"),
        left_out=("Id",),
    ),
    Lookalike(
        *("PRSA_data_2010.1.1-2014.12.31.csv", beijing, 4000, "pm2.5", "regression", 9),
        numbers=("year", "DEWP", "Iws"),
        texts=("cbwd",),
        left_out=("No",),
        quarantined=0.06,
    ),
    Lookalike(
        *("hour.csv", bikes, 3000, "cnt", "regression", 6),
        numbers=("hr", "temp"),
        times=("dteday",),
        left_out=("instant", "casual", "registered"),
    ),
    Lookalike(
        *("salaries.csv", salaries, 600, "left", "binary", 3),
        positive="True",
        numbers=("years",),
        texts=("bonus", "grade"),
        left_out=("revenue",),
    ),
    Lookalike(
        *("events.jsonl", events, 900, "fraud", "binary", 4),
        positive="true",
        numbers=("amount",),
        texts=("trusted", "country", "channel"),
        times=("at",),
    ),
    Lookalike(
        *("events.json.gz", zipped(lambda rows: as_array(events(rows))), 900, "fraud", "binary", 4),
        positive="true",
        numbers=("amount",),
        texts=("trusted", "channel"),
        times=("at",),
    ),
)
