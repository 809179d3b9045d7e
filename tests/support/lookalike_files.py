"""Files that look like public data sets: their dialects, dirt and shapes, none of their data.

Each maker takes a number of rows and gives the bytes of a file. Every target can be learned from
the columns, so that trainings on them end well.
"""

from __future__ import annotations

import gzip
import io
import json
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

Make = Callable[[int], bytes]


def _join(rows: Sequence[Sequence[object]], delimiter: str = ",", end: str = "\n") -> bytes:
    return "".join(delimiter.join(map(str, row)) + end for row in rows).encode()


def _header(names: str) -> list[object]:
    return [*names.split()]


def _pick(rng: random.Random, *choices: str) -> str:
    return rng.choice(choices)


def _quoted(row: Sequence[object]) -> list[object]:
    return [f'"{cell}"' if isinstance(cell, str) else cell for cell in row]


# --- semicolons ----------------------------------------------------------------------------------


def bank(rows: int) -> bytes:
    """Texts in quotes, `unknown` as a level, -1 for never; `duration` is known afterwards."""
    rng = random.Random(1)
    names = "age job marital education default balance housing loan contact day month duration"
    found: list[list[object]] = [_quoted([*names.split(), "campaign", "pdays", "poutcome", "y"])]
    for _ in range(rows):
        duration, balance = int(rng.expovariate(1 / 260)), int(rng.gauss(1400, 3000))
        yes = duration + balance / 40 + rng.gauss(0, 150) > 620
        row = [
            *(rng.randint(18, 87), _pick(rng, "admin.", "blue-collar", "unknown", "retired")),
            *(_pick(rng, "married", "single"), _pick(rng, "primary", "secondary", "unknown")),
            *(_pick(rng, "no", "yes"), balance, _pick(rng, "yes", "no"), _pick(rng, "no", "yes")),
            *(_pick(rng, "cellular", "unknown"), rng.randint(1, 31), _pick(rng, "may", "jun")),
            *(duration, rng.randint(1, 9), rng.choice([-1, 92, 180, 300])),
            *(_pick(rng, "unknown", "failure", "success"), "yes" if yes else "no"),
        ]
        found.append(_quoted(row))
    return _join(found, ";")


def wine_quality(rows: int) -> bytes:
    """Eleven numbers and a grade that few wines reach at both ends."""
    rng = random.Random(2)
    names = [
        *("fixed acidity", "volatile acidity", "citric acid", "residual sugar", "chlorides"),
        *("free sulfur dioxide", "total sulfur dioxide", "density", "pH", "sulphates", "alcohol"),
    ]
    found: list[list[object]] = [_quoted([*names, "quality"])]
    for _ in range(rows):
        row = [round(abs(rng.gauss(5, 2)), 2) for _ in names]
        grade = round(5.8 + 0.4 * (row[10] - 5) - 0.2 * (row[1] - 5) + rng.gauss(0, 0.3))
        found.append([*row, min(9, max(3, grade))])
    return _join(found, ";")


def air_quality(rows: int) -> bytes:
    """Decimal commas, dates with slashes, -200 for missing, two nameless empty columns, and
    records of semicolons only at the end."""
    rng = random.Random(3)
    lines = ["Date;Time;CO(GT);PT08.S1(CO);NMHC(GT);C6H6(GT);T;RH;AH;;"]
    start = datetime(2004, 3, 10, 18, tzinfo=UTC)
    for row in range(rows):
        at = start + timedelta(hours=row)
        co = abs(rng.gauss(2, 1))
        sensor = -200 if rng.random() < 0.04 else int(900 + 180 * co + rng.gauss(0, 40))
        benzene = abs(4.4 * co + rng.gauss(0, 0.8))
        shown = [
            "-200" if rng.random() < 0.15 else f"{co:.1f}",
            str(sensor),
            rng.choice(["-200", "90"]),
        ]
        shown += [f"{benzene:.1f}", f"{rng.gauss(18, 8):.1f}", f"{rng.uniform(10, 88):.1f}"]
        shown += [f"{rng.uniform(0.2, 2.2):.4f}"]
        cells = [f"{at:%d/%m/%Y}", f"{at:%H.%M.%S}", *(cell.replace(".", ",") for cell in shown)]
        lines.append(";".join(cells) + ";;")
    lines += [";" * 10] * max(1, rows // 100)
    return ("\r\n".join(lines) + "\r\n").encode()


def student(rows: int) -> bytes:
    """Grades of two terms that nearly give the last one, and rightly so; numbers in quotes."""
    rng = random.Random(4)
    names = "school sex age address Mjob studytime failures higher absences G1 G2 G3"
    found = [_header(names)]
    for _ in range(rows):
        first = min(19, max(3, round(rng.gauss(11, 3))))
        second = min(19, max(0, first + rng.choice([-1, 0, 0, 1])))
        last = min(20, max(0, second + rng.choice([-1, 0, 0, 1, 1])))
        row: list[object] = [
            *(_pick(rng, "GP", "MS"), _pick(rng, "F", "M"), rng.randint(15, 22)),
            *(_pick(rng, "U", "R"), _pick(rng, "teacher", "health", "other")),
            *(rng.randint(1, 4), rng.choice([0, 0, 0, 1]), _pick(rng, "yes", "no")),
            *(rng.randint(0, 30), str(first), str(second), last),
        ]
        found.append(_quoted(row))
    return _join(found, ";")


def german_excel(rows: int) -> bytes:
    """BOM, semicolons, decimal commas, CR LF, umlauts, and `-` where nothing was entered."""
    rng = random.Random(5)
    found: list[list[object]] = [["Größe", "Ort", "Preis", "Umsatz", "Gekündigt"]]
    for _ in range(rows):
        size, price = rng.uniform(20, 200), rng.uniform(5, 90)
        gone = size / 200 + price / 90 + rng.gauss(0, 0.1) > 1.15
        turnover = "-" if rng.random() < 0.1 else f"{rng.uniform(0, 999):.2f}".replace(".", ",")
        row = [f"{size:.1f}".replace(".", ","), _pick(rng, "Köln", "Düren", "Bonn")]
        found.append([*row, f"{price:.2f}".replace(".", ","), turnover, "ja" if gone else "nein"])
    return b"\xef\xbb\xbf" + _join(found, ";", "\r\n")


def latin(rows: int) -> bytes:
    """What an older program writes: one byte for an umlaut, the first one late in the file."""
    rng = random.Random(6)
    found: list[list[object]] = [["kunde", "stadt", "alter", "beitrag", "treue"]]
    for row in range(rows):
        age = rng.randint(18, 90)
        city = _pick(rng, "Bonn", "Jena") if row < 0.9 * rows else "Münster"
        fee = rng.randint(10, 500)
        loyal = age + fee / 10 + rng.gauss(0, 12) > 80
        found.append([f"K{row:06d}", city, age, fee, "ja" if loyal else "nein"])
    return _join(found).decode().encode("latin-1")


# --- no header -----------------------------------------------------------------------------------


def adult(rows: int) -> bytes:
    """No header, a blank behind each comma, `?` for missing, an empty line at the end."""
    rng = random.Random(7)
    found: list[list[object]] = []
    for _ in range(rows):
        age, years, hours = rng.randint(17, 90), rng.randint(1, 16), rng.randint(1, 99)
        rich = age / 90 + years / 10 + hours / 99 + rng.gauss(0, 0.25) > 2.2
        work = "?" if rng.random() < 0.06 else _pick(rng, "Private", "State-gov", "Self-emp-inc")
        row: list[object] = [
            *(age, work, rng.randint(12285, 1484705), f"Grade-{years}", years),
            *(_pick(rng, "Divorced", "Married-civ-spouse"), _pick(rng, "Sales", "?", "Craft")),
            *(_pick(rng, "Husband", "Wife", "Not-in-family"), _pick(rng, "White", "Black")),
            *(_pick(rng, "Male", "Female"), rng.choice([0, 0, 0, 2174, 14084]), 0, hours),
            *(_pick(rng, "United-States", "Mexico", "?"), ">50K" if rich else "<=50K"),
        ]
        found.append(row)
    return _join(found, ", ") + b"\n"


def abalone(rows: int) -> bytes:
    """No header, a letter and seven numbers, whole numbers to predict."""
    rng = random.Random(8)
    found: list[list[object]] = []
    for _ in range(rows):
        size = rng.uniform(0.1, 0.8)
        rest = [round(size * part + rng.gauss(0, 0.01), 4) for part in (1, 0.8, 0.3, 1.6, 0.7, 0.4)]
        rings = max(1, round(3 + 12 * size + rng.gauss(0, 1)))
        found.append([_pick(rng, "M", "F", "I"), *rest, round(size, 3), rings])
    return _join(found)


def heart(rows: int) -> bytes:
    """No header, a few `?` in columns of numbers, whole numbers written `1.0`, 303 rows."""
    rng = random.Random(9)
    found: list[list[object]] = []
    for _ in range(rows):
        age, rate, pain = rng.randint(29, 77), rng.randint(71, 202), rng.randint(1, 4)
        ill = (age - 50) / 20 - (rate - 140) / 40 + (pain - 2) / 1.5 + rng.gauss(0, 0.5) > 0
        vessels = "?" if rng.random() < 0.02 else f"{rng.randint(0, 3)}.0"
        thal = "?" if rng.random() < 0.02 else f"{rng.choice([3, 6, 7])}.0"
        numbers = [age, rng.randint(0, 1), pain, rng.randint(94, 200), rng.randint(126, 564), rate]
        found.append([*(f"{n}.0" for n in numbers), vessels, thal, int(ill)])
    return _join(found)


def seeds(rows: int) -> bytes:
    """Tabs, in a few rows two of them, no header, three kinds called 1, 2 and 3."""
    rng = random.Random(10)
    lines = []
    for row in range(rows):
        kind = row % 3 + 1
        area = rng.gauss(11 + 2 * kind, 0.9)
        cells = [f"{area:.2f}", f"{rng.gauss(3 - kind / 2, 0.3):.3f}", f"{rng.random():.4f}"]
        gap = "\t\t" if row % 60 == 7 else "\t"
        lines.append(gap.join([*cells, str(kind)]) + "\n")
    return "".join(lines).encode()


def cover_type(rows: int) -> bytes:
    """No header, 54 columns of whole numbers, most of them 0 or 1, seven kinds of forest."""
    rng = random.Random(11)
    lines = []
    for _ in range(rows):
        height, slope = rng.randint(1850, 3860), rng.randint(0, 66)
        kind = min(7, max(1, 1 + int((height + rng.gauss(0, 250) - 20 * slope - 1300) // 270)))
        soil = ["0"] * 40
        soil[rng.randrange(40)] = "1"
        wild = ["0"] * 4
        wild[rng.randrange(4)] = "1"
        more = [str(rng.randint(0, 360)) for _ in range(8)]
        lines.append(",".join([str(height), str(slope), *more, *wild, *soil, str(kind)]) + "\n")
    return "".join(lines).encode()


# --- commas and a header -------------------------------------------------------------------------


def titanic(rows: int) -> bytes:
    """Names in quotes with commas and quotes inside, ages missing, cabins mostly blank."""
    rng = random.Random(12)
    lines = ["PassengerId,Survived,Pclass,Name,Sex,Age,SibSp,Parch,Ticket,Fare,Cabin,Embarked"]
    for row in range(1, rows + 1):
        sex, rank = _pick(rng, "male", "female"), rng.randint(1, 3)
        lives = (sex == "female") * 1.2 - rank * 0.4 + rng.gauss(0, 0.5) > 0
        name = f'"Family{row}, Mr. Given{row} ""Nick{row % 9}"""'
        age = "" if rng.random() < 0.2 else rng.choice([rng.randint(1, 80), 28.5])
        cabin = f"C{rng.randint(1, 140)}" if rng.random() < 0.23 else ""
        cells = [row, int(lives), rank, name, sex, age, rng.randint(0, 4), rng.randint(0, 2)]
        cells += [f"A/5 {20000 + rng.randrange(rows)}", round(rng.expovariate(1 / 32), 4), cabin]
        lines.append(",".join(map(str, [*cells, _pick(rng, "S", "C", "Q", "")])))
    return ("\n".join(lines) + "\n").encode()


def telco(rows: int) -> bytes:
    """A customer's key, 0 and 1 beside Yes and No, a total that is one blank for new customers."""
    rng = random.Random(13)
    names = "customerID gender SeniorCitizen Partner tenure Contract MonthlyCharges TotalCharges"
    found = [_header(f"{names} Churn")]
    for row in range(rows):
        tenure, monthly = rng.randint(0, 72), rng.uniform(18, 118)
        contract = _pick(rng, "Month-to-month", "One year", "Two year")
        leaves = (contract[0] == "M") * 1.0 - tenure / 40 + monthly / 118 + rng.gauss(0, 0.4) > 0.75
        total = f"{tenure * monthly * rng.uniform(0.9, 1.1):.2f}" if tenure else " "
        cells: list[object] = [f"{row:04d}-QX{row % 97:02d}", _pick(rng, "Male", "Female")]
        cells += [rng.randint(0, 1), _pick(rng, "Yes", "No"), tenure, contract, f"{monthly:.2f}"]
        found.append([*cells, total, "Yes" if leaves else "No"])
    return _join(found, ",", "\r\n")


def house_prices(rows: int) -> bytes:
    """81 columns, `NA` for "has none" in many of them, a running Id."""
    rng = random.Random(14)
    areas = [f"Area{n}" for n in range(36)]
    kinds = [f"Kind{n}" for n in range(40)]
    found: list[list[object]] = [["Id", "LotFrontage", *areas, *kinds, "PoolQC", "YrSold"]]
    found[0].append("SalePrice")
    for row in range(1, rows + 1):
        sizes = [rng.randint(100, 3000) for _ in areas]
        levels = [_pick(rng, "TA", "Gd", "NA", "Ex") for _ in kinds]
        price = 40 * sizes[0] + 30 * sizes[1] + 9000 * (levels[0] == "Ex") + rng.gauss(60000, 4000)
        front = "NA" if rng.random() < 0.18 else rng.randint(20, 200)
        pool = "NA" if rng.random() < 0.95 else _pick(rng, "Ex", "Fa")
        found.append([row, front, *sizes, *levels, pool, rng.randint(2006, 2010), int(price)])
    return _join(found)


def beijing(rows: int) -> bytes:
    """A row number, the time in four columns, and a target that is NA in every twentieth row."""
    rng = random.Random(15)
    found = [_header("No year month day hour pm2.5 DEWP TEMP PRES cbwd Iws")]
    start = datetime(2010, 1, 1, tzinfo=UTC)
    for row in range(rows):
        at = start + timedelta(hours=7 * row)
        dew, wind = rng.randint(-40, 28), rng.expovariate(1 / 23)
        pm = max(0, round(90 + 2 * dew - wind + rng.gauss(0, 20)))
        target = "NA" if rng.random() < 0.05 else pm
        cells = [row + 1, at.year, at.month, at.day, at.hour, target, dew, rng.randint(-19, 42)]
        found.append([*cells, rng.randint(991, 1046), _pick(rng, "SE", "NW", "cv"), f"{wind:.2f}"])
    return _join(found)


def bikes(rows: int) -> bytes:
    """A row number, ISO dates, and two counts that add up to the target."""
    rng = random.Random(16)
    found = [
        _header("instant dteday season hr workingday weathersit temp hum casual registered cnt")
    ]
    start = datetime(2011, 1, 1, tzinfo=UTC)
    for row in range(rows):
        at = start + timedelta(hours=row)
        warm = rng.random()
        casual = max(0, round(60 * warm + rng.gauss(0, 9)))
        registered = max(0, round(90 + 8 * (8 <= at.hour <= 19) * 12 + rng.gauss(0, 20)))
        cells = [row + 1, f"{at:%Y-%m-%d}", at.month % 12 // 3 + 1, at.hour, int(at.weekday() < 5)]
        cells += [rng.randint(1, 4), f"{warm:.2f}", f"{rng.random():.2f}", casual, registered]
        found.append([*cells, casual + registered])
    return _join(found)


def salaries(rows: int) -> bytes:
    """Thousands separators in quotes and a percent sign: numbers to people, texts to programs."""
    rng = random.Random(17)
    lines = ["years,bonus,revenue,grade,left"]
    for _ in range(rows):
        years = rng.randint(0, 40)
        leaves = years + rng.gauss(0, 6) < 12
        revenue = f'"{rng.randint(1000, 999999):,}"'
        cells = [years, f"{rng.randint(1, 30)}%", revenue, _pick(rng, "A", "B"), leaves]
        lines.append(",".join(map(str, cells)))
    return ("\n".join(lines) + "\n").encode()


# --- free text, and other formats ----------------------------------------------------------------


def messages(rows: int) -> bytes:
    """A class, a tab, a text with commas and quotes that open and never close."""
    rng = random.Random(18)
    words = ["call", "free", "now,", "prize", "ok", "see", "you", "at", "home", "won", "cash"]
    lines = []
    for row in range(rows):
        text = " ".join(rng.choice(words) for _ in range(rng.randint(4, 20))) + f" {row}"
        start = '"' if row % 50 == 9 else ""
        lines.append(f"{_pick(rng, 'ham', 'ham', 'ham', 'spam')}\t{start}{text}\n")
    return "".join(lines).encode()


def events(rows: int) -> bytes:
    """JSON lines with numbers, true and false, null and absent fields, and times."""
    rng = random.Random(19)
    out = io.StringIO()
    start = datetime(2025, 1, 1, tzinfo=UTC)
    for row in range(rows):
        amount, trusted = round(rng.expovariate(1 / 80), 2), rng.random() < 0.7
        fraud = amount / 300 + (not trusted) * 0.5 + rng.gauss(0, 0.15) > 0.75
        record: dict[str, object] = {
            "at": f"{start + timedelta(minutes=7 * row):%Y-%m-%dT%H:%M:%SZ}",
            "amount": amount,
            "trusted": trusted,
            "country": None if rng.random() < 0.05 else _pick(rng, "DE", "FR", "Ö"),
            "fraud": fraud,
        }
        if rng.random() < 0.5:
            record["channel"] = _pick(rng, "web", "shop")
        out.write(json.dumps(record, ensure_ascii=False) + "\n")
    return out.getvalue().encode()


def as_array(lines: bytes) -> bytes:
    """JSON lines as one JSON array."""
    return b"[" + b",\n".join(lines.splitlines()) + b"]\n"


def zipped(make: Make) -> Make:
    """The same file, gzipped."""
    return lambda rows: gzip.compress(make(rows), mtime=0)
