"""The dashboard: a page of plain HTML, its data as JSON, and taps that show a stream's signal while somebody looks."""

from __future__ import annotations

from .routes import dashboard_routes

__all__ = ["dashboard_routes"]
