"""The small models of the inference tests."""

from __future__ import annotations

from inference.conftest import make_model, random_bases  # noqa: F401 - fixtures
from toy import cache  # noqa: F401 - a fixture
