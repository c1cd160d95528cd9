"""The log of a run in its file, whoever listens to the logger."""

import logging

from restoration.common.log import log_file

logger = logging.getLogger("restoration")


def test_the_file_is_complete_and_the_logger_left_as_it_was(tmp_path):
    level, handlers = logger.level, list(logger.handlers)
    with log_file(tmp_path / "run.log"):
        logger.info("in the file")
        with log_file(tmp_path / "inner.log"):
            logger.info("in both")
    logger.warning("in none")
    assert (logger.level, logger.handlers) == (level, handlers)
    said = (tmp_path / "run.log").read_text()
    assert "in the file" in said and "in both" in said and "in none" not in said
    assert "in the file" not in (tmp_path / "inner.log").read_text()
