"""Files, servers and real weights for tests of losses."""

import http.server
import socket
import threading
from functools import cache

import pytest
import torch
from loss_inputs import (
    VGG16,
    WEIGHTS,
    alexnet_features,
    milo_weights,
    random_masks,
    vgg16_features,
)
from safetensors.torch import save_file

from losses.features.embedded import EmbeddedBackbone


class Pages(http.server.BaseHTTPRequestHandler):
    """Answers with `server.pages`, path to bytes."""

    def do_GET(self):
        content = self.server.pages.get(self.path)
        self.send_response(200 if content is not None else 404)
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    """A server on this machine; set server.pages = {"/name": bytes}, read server.url."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as running:
        running.pages = {}
        running.url = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, args=(0.05,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def closed_url():
    """An address at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return f"http://127.0.0.1:{port}"


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_cache_of_this_machine(tmp_path, monkeypatch):
    """Tests see no weights that the user has downloaded, and no network."""
    monkeypatch.setenv("RESTORATION_WEIGHTS", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """Folder of random weights: masks of every kind, AlexNet, VGG-16, MILO."""
    folder = tmp_path_factory.mktemp("weights")
    save_file(random_masks((3,), gain=3.0), folder / "pixel.safetensors")
    save_file(
        random_masks(EmbeddedBackbone().channels, gain=2.0), folder / "embedded_masks.safetensors"
    )
    torch.save(alexnet_features(), folder / "alexnet.pth")
    torch.save(milo_weights(), folder / "milo.pth")
    save_file(vgg16_features(), folder / "vgg16.safetensors")
    save_file(random_masks(VGG16, gain=2.0), folder / "vgg16_masks.safetensors")
    save_file(random_masks((3, *VGG16), gain=2.0), folder / "dists_masks.safetensors")
    return folder


@pytest.fixture(scope="session")
def authors():
    """Folder of the paper's authors' released files, which this repository may not hold."""
    folder = WEIGHTS / "enhanced-iqm"
    if not folder.is_dir():
        pytest.skip("the authors' released masks and example pair are not on this machine")
    return folder


@pytest.fixture(scope="session")
def vgg19_file():
    file = WEIGHTS / "vgg19_conv1_1-conv3_4_original.safetensors"
    if not file.is_file():
        pytest.skip("VGG-19's original weights are not on this machine")
    return file


@pytest.fixture(scope="session")
def make(files):
    """Build a term once per set of arguments."""
    from cases import CASES

    import losses

    @cache
    def build(name, **more):
        arguments = {
            key: str(files / value) if isinstance(value, str) and "." in value else value
            for key, value in {**CASES[name].arguments, **more}.items()
        }
        torch.manual_seed(0)
        return losses.build_term(name, **arguments)

    return build
