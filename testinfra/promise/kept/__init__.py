"""The promise to undo an apply that nobody confirms, tested through resets, restarts and upgrades."""

from pathlib import Path

FILES = Path(__file__).resolve().parent.parent
