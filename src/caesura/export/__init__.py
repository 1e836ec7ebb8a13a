"""Ships a run: one graph of plain tensors, checked against the run, with a certificate."""
