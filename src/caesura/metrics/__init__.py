"""Plain functions on arrays: scores, resampling, calibration."""
