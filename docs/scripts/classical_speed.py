"""How long a dense autoencoder trains on the features of 100,000 jets: nine correlated columns, drawn, not simulated.

    OMP_NUM_THREADS=1 python docs/scripts/classical_speed.py
"""

import time

import numpy as np

from classical.dense_autoencoder import DenseAutoencoder

rng = np.random.default_rng(0)
X = rng.normal(size=(100_000, 4)) @ rng.normal(size=(4, 9)) + 0.3 * rng.normal(size=(100_000, 9))
start, used = time.perf_counter(), time.process_time()
fitted = DenseAutoencoder().fit(X / X.std(0))
epochs = len(fitted.diagnostics_["history"]["train"])
print(f"{epochs} epochs: {time.perf_counter() - start:.1f} s, {time.process_time() - used:.1f} s of processor time")
