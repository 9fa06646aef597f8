"""Sealing what this system has to read again but must not lie readable in the database.

The keys are made from SECRET_KEY: whoever has the database alone can open nothing, and change nothing unnoticed. What
was sealed with a former key opens with SECRET_KEY_FALLBACKS, and is sealed anew before that one may go.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from django.conf import settings

NONCE_BYTES, TAG_BYTES = 32, 32


class Unsealable(Exception):
    """No key that is set opens this: SECRET_KEY was replaced and the former one is not among the fallbacks."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What was sealed."""

    text: bytes
    stale: bool
    """It was sealed with a former key: seal it anew."""


def seal(text: bytes, purpose: str) -> bytes:
    """Return `text` in a form that only `unseal` for the same purpose turns back."""
    return _seal(text, purpose, settings.SECRET_KEY, secrets.token_bytes(NONCE_BYTES))


def unseal(sealed: bytes, purpose: str) -> Opened:
    """Return what was sealed. Raises Unsealable."""
    nonce, mixed = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:-TAG_BYTES]
    for place, key in enumerate((settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)):
        text = _mixed(mixed, purpose, key, nonce)
        if hmac.compare_digest(_seal(text, purpose, key, nonce), bytes(sealed)):
            return Opened(text, stale=place > 0)
    raise Unsealable(f"what was sealed for {purpose} opens with none of the keys that are set")


def _seal(text: bytes, purpose: str, key: str, nonce: bytes) -> bytes:
    mixed = nonce + _mixed(text, purpose, key, nonce)
    return mixed + hmac.new(_derived("tag", purpose, key), mixed, hashlib.sha256).digest()


def _mixed(text: bytes, purpose: str, key: str, nonce: bytes) -> bytes:
    # SHAKE-256 over a secret key and a nonce that is used once is a stream that cannot be told from random bits.
    stream = hashlib.shake_256(_derived("stream", purpose, key) + nonce).digest(len(text))
    return bytes(left ^ right for left, right in zip(text, stream, strict=True))


def _derived(use: str, purpose: str, key: str) -> bytes:
    return hmac.new(key.encode(), f"tandem/sealing/1/{use}/{purpose}".encode(), hashlib.sha256).digest()
