"""What a trained run is used for: one file a task."""
