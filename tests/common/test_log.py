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


def test_a_full_disk_prints_no_traces(tmp_path, capsys):
    with log_file(tmp_path / "train.log"):
        handler = next(h for h in logger.handlers if isinstance(h, logging.FileHandler))
        handler.stream.close()
        handler.stream = open("/dev/full", "w", encoding="utf-8")  # noqa: SIM115
        logger.warning("a line")
    assert "Traceback" not in capsys.readouterr().err
