"""A record becomes one HTML page, a summary or a model card: pure functions that escape everything."""
