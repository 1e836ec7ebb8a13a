"""Does pre-training pay on these data and this task? The dividend study."""
