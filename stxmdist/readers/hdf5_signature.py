"""How an HDF5 file begins: what tells it from all others before it is opened."""

SIGNATURE = b"\x89HDF\r\n\x1a\n"
# The superblock may follow a user block of 512 bytes times a power of two; PolLux keeps XMP metadata in 32 KiB.
SIGNATURE_OFFSETS = (0, *(512 << n for n in range(12)))
HEAD_BYTES = SIGNATURE_OFFSETS[-1] + len(SIGNATURE)


def has_signature(head: bytes) -> bool:
    """Whether the first bytes of a file are those of HDF5."""
    return any(head[offset : offset + 8] == SIGNATURE for offset in SIGNATURE_OFFSETS)
