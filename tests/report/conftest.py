"""The toy study is run once for all tests of the report."""

from tests.benchmark.conftest import finished, toy_files, write_study

__all__ = ["finished", "toy_files", "write_study"]
