"""docs/security.md has a row for every promise, every test it names exists, and what has none says so."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from dev import mutants
from dev.local import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
ROWS = {"A": 12, "B": 6, "C": 8, "D": 8, "E": 6, "F": 7, "G": 9, "Faults": 23}
NAMED = re.compile(r"`(test_\w+\.py)::(\w+)`")


def section(title: str) -> str:
    found = re.search(rf"^## {title}\b.*?(?=^## )", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"there is no section {title}"
    return found[0]


def rows() -> Iterator[tuple[str, list[str]]]:
    """Every row of every table of promises, as its name and its cells."""
    for title in ROWS:
        for line in section(title).splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if re.fullmatch(r"[A-G]\d+", cells[0]):
                yield f"{title} {cells[0]}", cells


@cache
def names_in(file: str) -> frozenset[str]:
    """The names of the tests and classes of tests in a file."""
    [path] = Path(ROOT, "tests").rglob(file)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.ClassDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


def test_there_is_a_row_for_every_promise_and_every_fault() -> None:
    expected = [
        f"{title} {title[0]}{number}" for title, last in ROWS.items() for number in range(1, last + 1)
    ]
    assert [name for name, _ in rows()] == expected


@pytest.mark.parametrize(("name", "cells"), list(rows()), ids=lambda one: one if isinstance(one, str) else "")
def test_a_row_says_what_is_promised_where_and_by_which_tests(name: str, cells: list[str]) -> None:
    assert len(cells) == 5
    tests, figure = cells[3:]
    assert cells[1]
    assert cells[2]
    assert tests or figure.startswith("Not met"), f"{name} has no test and does not say so"
    assert figure, f"{name} has no figure: write `not measured` where there is none"
    assert len(NAMED.findall(tests)) == tests.count("`") / 2


@pytest.mark.parametrize(("file", "test"), sorted(set(NAMED.findall(PAGE))), ids=".".join)
def test_a_test_that_is_named_exists(file: str, test: str) -> None:
    assert test in names_in(file)


def test_F23_every_guard_is_still_there() -> None:
    """What `make mutants` changes: a pattern that matches nothing would count as a guard that holds."""
    packages = {package.name: package for package in mutants.PACKAGES}
    for guard in mutants.GUARDS.values():
        for pattern in guard.code:
            package, _, rest = pattern.partition("/")
            assert list(packages[package].glob(rest)), pattern
        for file in guard.tests:
            assert Path(ROOT, "tests", file).exists(), file
