import pytest

from configs import pods as pods_config
from pods_jax.runs import experiment
from tests.faults import toy


@pytest.fixture
def undisturbed(install_toy, tmp_path):
    """Trains the toy without disturbance, as the child does; returns the folder."""
    install_toy()

    def run(num_epochs):
        config = pods_config.get_config().to_dict()
        counts = {"num_epochs": num_epochs, "evaluate_every": 1, "num_test_rollouts": 4}
        experiment.run(config | counts, tmp_path / "undisturbed", evaluator=toy.EVALUATOR)
        return tmp_path / "undisturbed"

    return run
