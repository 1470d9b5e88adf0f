"""Moved."""
from carnet.serving.paging import *  # noqa
from carnet.serving.paging import encode_page_token, decode_page_token, page_limit  # noqa
