"""Sealing what may be repeated to one caller but must not lie readable in the database. Pure.

The seal is made from the API key that the caller presented, of which the database holds only a hash: whoever has the
database alone can open nothing. Each text gets a nonce, so that no stretch of the key's stream is used twice.
"""

import hashlib
import secrets

NONCE_BYTES = 32
_PURPOSE = b"tandem/sealed-answer/1\n"


def seal(text: bytes, key: str) -> bytes:
    """Return `text` in a form that only `unseal` with the same key turns back."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + _mixed(text, key, nonce)


def unseal(sealed: bytes, key: str) -> bytes:
    """Return the text that was sealed with this key."""
    return _mixed(sealed[NONCE_BYTES:], key, sealed[:NONCE_BYTES])


def _mixed(text: bytes, key: str, nonce: bytes) -> bytes:
    # SHAKE-256 over a secret of 256 random bits and a nonce is a stream that cannot be told from random bits.
    stream = hashlib.shake_256(_PURPOSE + nonce + key.encode()).digest(len(text))
    return bytes(left ^ right for left, right in zip(text, stream, strict=True))
