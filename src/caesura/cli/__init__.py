"""The command line: one file a group of verbs, each verb a thin call."""
