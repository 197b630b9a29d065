"""Who may edit a model in MLflow can move its alias, and no answer of refit with it."""

import json

import pytest

from deployments.model_commands import lookup
from deployments.serve import Throne
from tasks.reconcile import reconcile
from tests.world import NAME, World

pytest_plugins = ["tests.worlds"]
pytestmark = pytest.mark.slow


def test_an_alias_moved_in_mlflow_changes_nothing_that_refit_gives(
    promoted: World, capsys: pytest.CaptureFixture[str]
) -> None:
    known = promoted.throne()
    promoted.registry.set_alias(NAME, "1")
    assert promoted.alias == "1"
    throne = Throne(promoted.place, NAME)
    throne.look()
    assert throne.live is not None
    assert throne.live.entry.version == "2"
    lookup(promoted.place, NAME, True)
    assert json.loads(capsys.readouterr().out)["version"] == "2"
    assert reconcile.fn(promoted.place, NAME) == "2"
    assert promoted.throne() == known
