"""The engine: graphs, streaming plans, sessions, models, server and commands."""
