"""Pure functions on tensors: same dtype and device out, input untouched."""
