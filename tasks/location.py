"""What is wrong with where data lie."""

from data_checks.problems import SourceError


class LocationError(SourceError):
    """A URI that names no data; the message lists every such URI of the recipe."""


class UnreachableError(LocationError):
    """A service that does not answer. A fault, not a bad recipe: trying again is safe."""
