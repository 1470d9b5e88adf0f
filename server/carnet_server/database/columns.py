"""Moved."""
from carnet.serving.columns import *  # noqa
from carnet.serving.columns import UtcDateTime  # noqa
