"""Published experiments, repeated: the paper's figures beside ours."""
