"""What learns: torch, numpy, pydantic and safetensors only, importable on a machine that has nothing else."""
