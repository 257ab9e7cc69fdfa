"""The table of races that ends a test run: what came of each with its guards on, one of them off, and all off."""

from typing import Any

import pytest

GUARDS = ("locks and constraints", "locks only", "constraints only", "neither")
# For parametrize: what each kind of guard does alone is a long proof; that both hold, and that without them the check
# fails, is looked at with every run.
EACH_GUARD = (
    GUARDS[0],
    pytest.param(GUARDS[1], marks=pytest.mark.prove),
    pytest.param(GUARDS[2], marks=pytest.mark.prove),
    GUARDS[3],
)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print a line per race, gathered from the reports of all test processes."""
    races: dict[str, dict[str, str]] = {}
    for report in terminalreporter.getreports("passed"):
        for name, value in getattr(report, "user_properties", ()):
            if name == "race":
                case, guards, result = value
                races.setdefault(case, {})[guards] = result
    if not races:
        return
    terminalreporter.section("races (clients: what they were answered; faults found in the books)")
    for case, results in sorted(races.items()):
        terminalreporter.write_line(case)
        for guards in GUARDS:
            if guards in results:
                terminalreporter.write_line(f"    {guards + ':':<24}{results[guards]}")
