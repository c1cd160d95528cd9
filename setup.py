"""Packages, console script and extras; tool settings live in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

SHARE = Path("share/restoration/options/schema")
OPTION_FILES = sorted(Path("options").rglob("*.yml"))  # a wheel carries them beside the packages

# 1.4.2 requires tb-nightly, with which TensorBoard does not start: the Makefile leaves that out.
BASICSR = ["basicsr==1.4.2; python_version < '3.13'"]
ARCHS = ["spandrel>=0.4.2"]
PHOTO = ["imagecodecs>=2023.3.16", "pillow-heif>=0.16", "rawpy>=0.19"]
EXPORT = ["onnx>=1.16", "onnxruntime>=1.18", "onnxscript>=0.1"]
MASKS = ["piq>=0.8", "openpyxl>=3.1"]
TEST = [
    *ARCHS,
    *MASKS,
    "flip-evaluator>=1.6",
    "mypy>=1.13",
    "pytest>=8",
    "pytest-cov>=5",
    "pytest-xdist>=3.6",
    "ruff>=0.6",
    "types-PyYAML",
]

setup(
    name="restoration",
    version="0.1.0",
    description="Train, benchmark and compare image denoisers with visually masked losses (E-VGG).",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE", "losses/pretrained/*.LICENSE"],
    python_requires=">=3.10",
    # said, so that an editable install adds the root to the path: the finder that it would install
    # otherwise comes second to any folder named losses where `python -m` is started
    package_dir={"": "."},
    packages=find_packages(include=["restoration*", "losses*"]),
    package_data={
        "losses": ["py.typed", "pretrained/*"],
        "restoration": ["py.typed", "data/*.json", "opinion/*.csv"],
        "restoration.compare.report": ["templates/*"],
    },
    data_files=[
        (str(SHARE / path.parent.relative_to("options")), [str(path)]) for path in OPTION_FILES
    ],
    install_requires=[
        "torch>=2.4",
        "torchvision>=0.19",
        "einops>=0.8",
        "filelock>=3.12",
        "jinja2>=3.1",
        "timm>=1.0.9",
        "opencv-python>=4.8",
        "lpips>=0.1.4",
        "tensorboard>=2.17",
        "lmdb>=1.4",
        "matplotlib>=3.8",
        "numpy>=1.26",
        "pillow>=10.1",
        "pydantic>=2.7",
        "pyyaml>=6.0",
        "rich>=13.7",
        "safetensors>=0.4.3",
        "scikit-image>=0.22",
        "scipy>=1.15",
        "tifffile>=2023.2.28",
        "torchmetrics>=1.9",
    ],
    extras_require={
        "archs": ARCHS,
        "basicsr": BASICSR,
        "dev": TEST,
        "export": EXPORT,
        "masks": MASKS,
        "photo": PHOTO,
        "test": TEST,
    },
    entry_points={"console_scripts": ["restoration = restoration.cli:run_and_exit"]},
)
