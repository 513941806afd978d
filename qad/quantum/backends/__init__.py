"""What evaluates an exported circuit: probabilities of the qubits read out for a batch of events, with shots, seed and noise.

Every backend is a module with ``probabilities(exported, angles, *, shots=None, seed=0, …) -> (events, 2^read)``; bit strings
count as in qad, the first qubit read out is the most significant bit. Exact ones agree with the engine to 1e-6, sampled ones
within five standard errors. Vendor packages are imported inside these modules only.

What to use when
    ``aer``     Qiskit Aer on this computer: exact, with shots, with the noise of a machine
"""
