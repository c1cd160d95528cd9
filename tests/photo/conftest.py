"""Denoisers run in torch, unless a test names an engine: to export each one takes seconds."""

import pytest

from restoration.photo.engines import AUTO, with_engine


@pytest.fixture(autouse=True)
def torch_is_the_automatic_engine(monkeypatch):
    def choose(network, engine, device):
        return network if engine == AUTO else with_engine(network, engine, device)

    monkeypatch.setattr("restoration.photo.api.with_engine", choose)
    monkeypatch.setattr("restoration.cli.denoise.with_engine", choose)
