"""Receipts between domain and proto."""

from __future__ import annotations

from carnet.registry.v1 import log_pb2
from carnet.translog.receipt import Receipt


def receipt_to_proto(receipt: Receipt) -> log_pb2.Receipt:
    """Return a receipt as the message that carries it."""
    return log_pb2.Receipt(
        log_index=receipt.index,
        entry=receipt.entry_bytes,
        tree_size=receipt.tree_size,
        proof=receipt.proof,
        checkpoint=receipt.checkpoint,
        finality=log_pb2.Finality.Value(f"FINALITY_{receipt.finality.upper()}"),
    )


def receipt_from_proto(message: log_pb2.Receipt) -> Receipt:
    """Return the receipt that a message carries; nothing of it is verified."""
    return Receipt(
        message.entry, message.log_index, message.tree_size, tuple(message.proof), message.checkpoint
    )
