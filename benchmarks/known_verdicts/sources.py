"""The data that the known verdicts are made from: the bundled prices, and what two packages carry.

Tweets: vaderSentiment 0.5 (PyPI, MIT), the ratings of 4,200 tweet-like texts (Hutto & Gilbert 2014), each the
mean of twenty people's on a scale of -4..4. Web features: web-features 3.40.0 (npm, Apache-2.0), when which
browser came to support what. Both are fetched once, with pip and npm.
"""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]

PRICES = Path(__file__).parents[2] / "examples" / "prices.jsonl"
TWEETS, TWEETS_FILE = "vaderSentiment==0.5", "vaderSentiment-0.5.zip"
FEATURES, FEATURES_FILE = "web-features@3.40.0", "web-features-3.40.0.tgz"
NEUTRAL_BELOW = 0.5
"""Of the mean rating, on either side of 0."""


def read_prices() -> list[Row]:
    """Price texts of web shops, to be turned into JSON."""
    return [json.loads(line) for line in PRICES.read_text("utf-8").splitlines()]


def read_tweets(cache: Path) -> list[Row]:
    """Short messages, to be called positive, negative or neutral."""
    file = _fetch(cache / TWEETS_FILE, [sys.executable, "-m", "pip", "download", "-q", "--no-deps", TWEETS])
    with zipfile.ZipFile(file) as archive:
        name = next(name for name in archive.namelist() if name.endswith("hutto_ICWSM_2014.tar.gz"))
        inner = archive.read(name)
    with tarfile.open(fileobj=io.BytesIO(inner)) as ratings:
        member = ratings.extractfile("hutto_ICWSM_2014/tweets_GroundTruth.txt")
        assert member is not None
        lines = member.read().decode("utf-8", "replace").splitlines()
    rows = [line.split("\t", 2) for line in lines]
    asked = "Is the mood of this message positive, negative or neutral? Answer with that one word."
    return [row_of(asked, text.strip(), _mood(float(mean))) for _, mean, text in rows]


def read_features(cache: Path) -> tuple[list[Row], list[Row]]:
    """Questions on browsers, with one fact as answer; and the documents that hold those facts."""
    file = _fetch(cache / FEATURES_FILE, ["npm", "pack", "--silent", FEATURES])
    with tarfile.open(file) as archive:
        member = archive.extractfile("package/data.json")
        assert member is not None
        data = json.load(member)
    browsers = {key: browser["name"] for key, browser in data["browsers"].items()}
    features = [(key, feature) for key, feature in sorted(data["features"].items()) if "status" in feature]
    asked = "Answer the question on web browsers with the bare fact."
    rows = [
        row_of(asked, question, answer)
        for _, feature in features
        for question, answer in _questions(feature, browsers)
    ]
    return rows, [{"id": key, "text": _document(feature, browsers)} for key, feature in features]


def draw(rows: Sequence[Row], number: int, seed: int = 0) -> list[Row]:
    """Some of the rows, in random order."""
    return random.Random(seed).sample(list(rows), number)


def answer_of(row: Row) -> str:
    """What is expected."""
    return str(row["messages"][-1]["content"])


def with_turn(row: Row, place: int, content: str) -> Row:
    """The row with another text in one of its messages."""
    messages = [dict(message) for message in row["messages"]]
    messages[place]["content"] = content
    return {**row, "messages": messages}


def _fetch(file: Path, command: list[str]) -> Path:
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            subprocess.run(command, cwd=file.parent, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise SystemExit(f"{file.name} cannot be fetched ({error}): put it into {file.parent}") from error
    return file


def row_of(instruction: str, question: str, answer: str) -> Row:
    """One example."""
    messages = (("system", instruction), ("user", question), ("assistant", answer))
    return {"messages": [{"role": role, "content": content} for role, content in messages]}


def _mood(mean: float) -> str:
    if abs(mean) < NEUTRAL_BELOW:
        return "neutral"
    return "positive" if mean > 0 else "negative"


def _support(feature: Row, browsers: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Desktop browsers, and the version that brought the feature."""
    for key, version in feature["status"].get("support", {}).items():
        if not key.endswith(("_android", "_ios")):
            yield browsers[key], version


def _questions(feature: Row, browsers: dict[str, str]) -> Iterator[tuple[str, str]]:
    name, status = feature["name"], feature["status"]
    if "baseline_low_date" in status:
        yield f"On which day did {name} reach Baseline?", status["baseline_low_date"]
    for browser, version in _support(feature, browsers):
        yield f"With which version did {browser} begin to support {name}?", f"{browser} {version}"


def _document(feature: Row, browsers: dict[str, str]) -> str:
    status = feature["status"]
    reached = status.get("baseline_low_date")
    support = ", ".join(f"{browser} {version}" for browser, version in _support(feature, browsers))
    said = [
        f"{feature['name']}: {feature['description']}",
        f"It reached Baseline on {reached}." if reached else "It has not reached Baseline.",
        f"It is supported from {support}." if support else "No browser supports it.",
    ]
    return " ".join(said)
