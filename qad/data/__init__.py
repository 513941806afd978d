"""Events in memory and on disk: the Sample, its HDF5 store, and splits."""

from qad.data.own import from_columns, from_csv, from_momenta
from qad.data.sample import Sample, concatenate
from qad.data.splits import inject, injected, split
from qad.data.store import SampleWriter, describe, format_of, iter_chunks, read, write

__all__ = ["Sample", "SampleWriter", "concatenate", "describe", "format_of", "from_columns", "from_csv", "from_momenta",
           "inject", "injected", "iter_chunks", "read", "split", "write"]
