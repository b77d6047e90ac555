"""Hides the emulator's own packages from the functions it runs.

MiniStack starts a function with its own interpreter, so the function would see MiniStack's site-packages behind its own
requirements, and a requirement missing from a lock would show only on AWS. The local stack puts this folder on the
PYTHONPATH of functions; Python imports `sitecustomize` before anything else.
"""

import site
import sys

_EMULATOR = {*site.getsitepackages(), site.getusersitepackages()}
sys.path[:] = [entry for entry in sys.path if entry not in _EMULATOR]
