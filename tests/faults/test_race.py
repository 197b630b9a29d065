"""Two runs of one recipe at once: one trains, the other says so."""

from tests.faults.conftest import RECIPE
from tests.faults.runs import Zygote
from tests.world import World

pytest_plugins = ["tests.worlds"]

ARGUMENTS = ("run", RECIPE, "--set", "train.epochs=10")


def test_second_run_of_a_recipe_ends_as_already_running_and_the_first_is_not_disturbed(
    world: World, zygote: Zygote
) -> None:
    num_runs = len(world.runs())
    first = zygote.start(world, *ARGUMENTS)
    first.wait_for("step 22 of 220")
    second = zygote.start(world, *ARGUMENTS)
    assert second.wait() == 6, second.said
    assert f"already running: process {first.pid} on" in second.said
    assert first.wait() == 0, first.said
    assert world.alias == "2"
    assert len(world.runs()) == num_runs + 1
    assert list(world.store.list("locks")) == []
