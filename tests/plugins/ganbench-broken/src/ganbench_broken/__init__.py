"""Fails on import, as a plug-in does whose dependency is gone."""

import a_module_that_nobody_has  # noqa: F401
