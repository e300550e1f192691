"""The base of every option model that YAML may say; one class serves both rooms."""

from headwater.models.options import Options

__all__ = ["Options"]
