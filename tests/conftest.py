"""`--update-golden` rewrites the golden files instead of comparing with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import in_place
import pytest
from hypothesis import HealthCheck, settings

# A slow machine must not fail a test, and a failure must come again: no deadlines, the same examples each time.
settings.register_profile("upc", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("upc")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite golden files; read the diff before accepting"
    )
    parser.addoption(
        "--runtime-in-place",
        action="store_true",
        help="have written modules import upc.runtime instead of carrying its text, so that its lines can be measured",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--runtime-in-place"):
        in_place.use()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--runtime-in-place"):
        for item in items:
            if item.get_closest_marker("carried"):
                item.add_marker(pytest.mark.skip(reason="no text is carried with --runtime-in-place"))


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """`golden(path, text)` asserts that the file holds the text, or writes it with `--update-golden`."""

    def check(path: Path, text: str) -> None:
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"{path} is missing: run pytest --update-golden"
        assert text == path.read_text(encoding="utf-8")

    return check
