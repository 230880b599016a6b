"""docs/operators.md: every metric, every section of the file, every phrase of the log; and its examples load."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import Counter, Gauge, Histogram

from app.config import Config, parse_config
from app.telemetry.metrics import Metrics
from tests.config.sample import ENV
from tests.docs.pages import OPERATORS, PAGES, ROOT, blocks, rows, section

TOLD_AT = ("warning", "error", "exception")
METRICS = [value for value in vars(Metrics()).values() if isinstance(value, Counter | Gauge | Histogram)]


def public_name(metric: Counter | Gauge | Histogram) -> str:
    [family] = metric.describe()
    return f"{family.name}_total" if isinstance(metric, Counter) else str(family.name)


def log_phrases(*levels: str) -> Iterator[tuple[str, Path]]:
    for file in sorted([*ROOT.glob("app/**/*.py"), *ROOT.glob("workers/**/*.py")]):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                owner, said = node.func.value, node.args[0]
                ours = isinstance(owner, ast.Name) and owner.id == "log" and node.func.attr in levels
                if ours and isinstance(said, ast.Constant):
                    yield str(said.value), file


def test_the_search_for_phrases_finds_those_that_are_known() -> None:
    found = {phrase for phrase, _ in log_phrases(*TOLD_AT)}
    assert {"campaign held", "lease recovered", "task failed, starting it again"} <= found


def test_every_phrase_of_the_log_that_asks_for_something_has_a_row() -> None:
    told = rows(section(OPERATORS, "Logs"))
    untold = {phrase: file.name for phrase, file in log_phrases(*TOLD_AT) if phrase not in told}
    assert untold == {}


def test_every_phrase_that_has_a_row_is_said_somewhere() -> None:
    told = {name for name, cells in rows(section(OPERATORS, "Logs")).items() if len(cells) == 2}
    said = {phrase for phrase, _ in log_phrases(*TOLD_AT)} | {"callback retry", "callback dead"}
    assert told <= said


def test_good_news_is_named_too() -> None:
    page = section(OPERATORS, "Logs")
    untold = {phrase for phrase, file in log_phrases("info") if f"`{phrase}`" not in " ".join(page.split())}
    assert untold == set()


@pytest.mark.parametrize("metric", METRICS, ids=public_name)
def test_every_metric_has_a_row_with_its_labels(metric: Counter | Gauge | Histogram) -> None:
    told = rows(section(OPERATORS, "Metrics"))
    assert public_name(metric) in told
    labels = told[public_name(metric)][0] if metric._labelnames else ""
    assert [part.strip("` ") for part in labels.split(",") if part.strip()] == list(metric._labelnames)


def test_every_section_of_the_configuration_has_a_row() -> None:
    told = " ".join(rows(section(OPERATORS, "Configure")))
    for field in dataclasses.fields(Config):
        table = {"accounts": "provider.accounts"}.get(field.name, field.name)
        assert f"[{table}]" in told or f"[{table}.<name>]" in told


def test_every_relay_toml_in_the_docs_loads() -> None:
    examples = [block for page in PAGES for block in blocks(page.read_text(encoding="utf-8"), "toml")]
    assert examples
    for example in examples:
        parse_config(example, file="relay.toml", env=ENV)
