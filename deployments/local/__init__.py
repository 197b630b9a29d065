"""The local stack: real services in private processes on free loopback ports."""
