"""Network architectures: building them by name, loading their weights, running them."""

from restoration.archs.build import ARCHS, build, build_network, register_arch
from restoration.archs.checkpoint import load_network
from restoration.archs.inference import restore
from restoration.archs.restormer.network import Restormer, restormer_s, restormer_xs

__all__ = [
    "ARCHS",
    "Restormer",
    "build",
    "build_network",
    "load_network",
    "register_arch",
    "restore",
    "restormer_s",
    "restormer_xs",
]
