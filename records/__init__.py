"""The values that travel between rooms: frozen pydantic models, digests and `normalise`.

Only pydantic and the standard library; every room may import this one.
"""
