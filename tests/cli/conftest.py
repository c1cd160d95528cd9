"""What tests of the command line share: figures as files, quickly."""

import pytest


@pytest.fixture(autouse=True, scope="module")
def quick_pdf():
    """Write PDF figures with Type 3 fonts: a TrueType subset takes most of a small comparison."""
    from restoration.compare.report.drawing import STYLE

    before = STYLE["pdf.fonttype"]
    STYLE["pdf.fonttype"] = 3
    yield
    STYLE["pdf.fonttype"] = before
