"""What exists: one folder per pipeline, declared in YAML."""
