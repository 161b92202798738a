"""Which shape and colour a state has: five tones for all the states of all rooms."""

TONES = {
    "ok": ("succeeded", "finished", "approved", "passed", "cached", "active", "serving", "ready", "intact", "valid",
           "better", "kept"),
    "bad": ("failed", "rejected", "tampered", "crashed", "timeout", "revoked", "void", "not ready", "killed", "lost",
            "worse", "rolled back"),
    "warn": ("interrupted", "self-approved", "not provable", "set aside", "stale", "changed", "not judged", "refused"),
    "go": ("running", "canary", "training", "full"),
    "wait": ("waiting", "queued", "candidate", "shadow"),
}  # fmt: skip
_OF_WORD = {word: tone for tone, words in TONES.items() for word in words}


def tone_of(word: str) -> str:
    """Return the tone of a state; ``off`` for one that asks for nothing."""
    return _OF_WORD.get(word, "off")
