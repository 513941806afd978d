"""The quantum family: encodings, ansätze, the exact batched engine, autoencoders and their controls."""
