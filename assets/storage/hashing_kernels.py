"""XXH3 of many short byte strings at once: the values of the xxhash library, without a call in Python for each.

XXH3 (Collet, xxHash 0.8, `doc/xxhash_spec.md`, "XXH3 algorithm overview"), 64 bits, seed 0, default secret, for the
lengths up to 240 bytes, which every identifier, name and rule has; longer strings are left to the library, whose call
costs little beside its work on them.
"""

import numpy as np

from headwater.assets.kernels import compiled

LONGEST = 240  # bytes; above, XXH3 works on stripes

# The library's default secret; the specification lists it.
_SECRET_BYTES = np.frombuffer(
    bytes.fromhex(
        "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
        "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8a8"
        "fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb17"
        "0ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
    ),
    dtype=np.uint8,
)
# Eight bytes from every place on, little-endian: `secret[place]` is the specification's read of the secret.
_SECRET = np.array([int.from_bytes(_SECRET_BYTES[n : n + 8].tobytes(), "little") for n in range(185)], dtype=np.uint64)

_PRIME_1 = np.uint64(0x9E3779B185EBCA87)
_PRIME_2 = np.uint64(0xC2B2AE3D27D4EB4F)
_PRIME_3 = np.uint64(0x165667B19E3779F9)
_MIX_1 = np.uint64(0x165667919E3779F9)
_MIX_2 = np.uint64(0x9FB21C651E98DF25)
_LOW = np.uint64(0xFFFFFFFF)
_BYTE = np.uint64(8)
_HALF = np.uint64(32)


@compiled()
def hash_short(data: np.ndarray, offsets: np.ndarray, hashes: np.ndarray) -> int:
    """Fills in the hash of every string of at most 240 bytes and gives their number; longer ones keep their values.

    Args:
        data: (bytes,) uint8.
        offsets: (strings + 1,) int64, where each begins and the last ends.
        hashes: (strings,) uint64, written to.
    """
    short = len(hashes)
    for n in range(len(hashes)):
        start, length = offsets[n], offsets[n + 1] - offsets[n]
        if length > 240:
            short -= 1
        elif length > 128:
            hashes[n] = _of_129_to_240(data, start, length)
        elif length > 16:
            hashes[n] = _of_17_to_128(data, start, length)
        else:
            hashes[n] = _of_0_to_16(data, start, length)
    return short


@compiled()
def _read_4(data: np.ndarray, start: int) -> np.uint64:
    value = np.uint64(0)
    for place in range(4):
        value |= np.uint64(data[start + place]) << (_BYTE * np.uint64(place))
    return value


@compiled()
def _read_8(data: np.ndarray, start: int) -> np.uint64:
    value = np.uint64(0)
    for place in range(8):
        value |= np.uint64(data[start + place]) << (_BYTE * np.uint64(place))
    return value


@compiled()
def _folded_product(a: np.uint64, b: np.uint64) -> np.uint64:
    """The 128 bits of a product, its halves joined by exclusive or."""
    low, cross_1 = (a & _LOW) * (b & _LOW), (a >> _HALF) * (b & _LOW)
    cross_2, high = (a & _LOW) * (b >> _HALF), (a >> _HALF) * (b >> _HALF)
    cross = (low >> _HALF) + (cross_1 & _LOW) + cross_2
    return ((cross_1 >> _HALF) + (cross >> _HALF) + high) ^ ((cross << _HALF) | (low & _LOW))


@compiled()
def _avalanche(value: np.uint64) -> np.uint64:
    value = (value ^ (value >> np.uint64(37))) * _MIX_1
    return value ^ (value >> _HALF)


@compiled()
def _avalanche_64(value: np.uint64) -> np.uint64:
    value = (value ^ (value >> np.uint64(33))) * _PRIME_2
    value = (value ^ (value >> np.uint64(29))) * _PRIME_3
    return value ^ (value >> _HALF)


@compiled()
def _mixed_16(data: np.ndarray, start: int, place: int) -> np.uint64:
    return _folded_product(_read_8(data, start) ^ _SECRET[place], _read_8(data, start + 8) ^ _SECRET[place + 8])


@compiled()
def _of_0_to_16(data: np.ndarray, start: int, length: int) -> np.uint64:
    if length > 8:
        low = _read_8(data, start) ^ _SECRET[24] ^ _SECRET[32]
        high = _read_8(data, start + length - 8) ^ _SECRET[40] ^ _SECRET[48]
        swapped = np.uint64(0)
        for place in range(8):
            swapped |= ((low >> (_BYTE * np.uint64(place))) & np.uint64(255)) << (_BYTE * np.uint64(7 - place))
        return _avalanche(np.uint64(length) + swapped + high + _folded_product(low, high))
    if length > 3:
        value = _read_4(data, start + length - 4) + (_read_4(data, start) << _HALF)
        value ^= _SECRET[8] ^ _SECRET[16]
        value ^= ((value << np.uint64(49)) | (value >> np.uint64(15))) ^ (
            (value << np.uint64(24)) | (value >> np.uint64(40))
        )
        value *= _MIX_2
        value = (value ^ ((value >> np.uint64(35)) + np.uint64(length))) * _MIX_2
        return value ^ (value >> np.uint64(28))
    if length > 0:
        first, middle, last = data[start], data[start + (length >> 1)], data[start + length - 1]
        value = (np.uint64(first) << np.uint64(16)) | (np.uint64(middle) << np.uint64(24)) | np.uint64(last)
        value |= np.uint64(length) << _BYTE
        return _avalanche_64(value ^ ((_SECRET[0] ^ _SECRET[4]) & _LOW))
    return _avalanche_64(_SECRET[56] ^ _SECRET[64])


@compiled()
def _of_17_to_128(data: np.ndarray, start: int, length: int) -> np.uint64:
    end, total = start + length, np.uint64(length) * _PRIME_1
    for pair in range((length - 1) // 32, -1, -1):
        total += _mixed_16(data, start + 16 * pair, 32 * pair)
        total += _mixed_16(data, end - 16 * (pair + 1), 32 * pair + 16)
    return _avalanche(total)


@compiled()
def _of_129_to_240(data: np.ndarray, start: int, length: int) -> np.uint64:
    total = np.uint64(length) * _PRIME_1
    for block in range(8):
        total += _mixed_16(data, start + 16 * block, 16 * block)
    total = _avalanche(total)
    for block in range(8, length // 16):
        total += _mixed_16(data, start + 16 * block, 16 * (block - 8) + 3)
    return _avalanche(total + _mixed_16(data, start + length - 16, 119))
