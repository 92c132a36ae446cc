"""The sinks that a sweep names."""

import pytest

from jobs.tracking import sinks
from jobs.tracking.sinks import check_sinks, destinations, open_sinks
from loretta_core.errors import ConfigError


@pytest.mark.parametrize(("names", "instead"), [(["mlflow", "wandb"], 'sinks = ["mlflow"]'), (["tensorboard"], 'sinks = ["mlflow"]')])
def test_a_library_that_is_absent_is_named_with_the_line_that_installs_it(names, instead, monkeypatch, out):
    monkeypatch.setattr(sinks, "find_spec", lambda module: None)
    with pytest.raises(ConfigError, match=rf"pip install 'loretta-on-ray\[{names[-1]}\]'") as error:
        open_sinks(names, sweep="small", out=out)
    assert str(error.value).endswith(instead)
    check_sinks(["mlflow"])


def test_every_sink_has_a_place_without_credentials(out, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    places = destinations(["mlflow", "tensorboard", "wandb"], out=out, tracking_uri="http://me:secret@mlflow:5000")
    assert places == {"mlflow": "http://mlflow:5000", "tensorboard": str(out.resolve() / "tensorboard"), "wandb": str(out.resolve() / "wandb")}
