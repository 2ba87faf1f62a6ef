#!/usr/bin/env python3
"""Makes noise_nnpsk0.h: handshakes and messages by an implementation that shares nothing with ours.

pip install noiseprotocol==0.3.1 && python3 make_noise_vectors.py > noise_nnpsk0.h
"""
import hashlib

from noise.connection import Keypair, NoiseConnection

NAME = b"Noise_NNpsk0_25519_ChaChaPoly_SHA256"


def seeded(label, length):
    """Fixed bytes that look random."""
    return hashlib.shake_256(label.encode()).digest(length)


def side(is_initiator, psk, prologue, ephemeral):
    conn = NoiseConnection.from_name(NAME)
    conn.set_psks(psk=psk)
    conn.set_prologue(prologue)
    conn.set_as_initiator() if is_initiator else conn.set_as_responder()
    conn.set_keypair_from_private_bytes(Keypair.EPHEMERAL, ephemeral)
    conn.start_handshake()
    return conn


def c_string(data):
    return '"' + data.hex() + '"'


def case(ix, prologue, payload1, payload2, texts):
    psk = seeded(f"psk {ix}", 32)
    keys = seeded(f"initiator {ix}", 32), seeded(f"responder {ix}", 32)
    a = side(True, psk, prologue, keys[0])
    b = side(False, psk, prologue, keys[1])
    msg1 = bytes(a.write_message(payload1))
    assert bytes(b.read_message(msg1)) == payload1
    msg2 = bytes(b.write_message(payload2))
    assert bytes(a.read_message(msg2)) == payload2
    sent = []
    for n, text in enumerate(texts):  # even ones go to the responder, odd ones come back; counters grow by 1 each way
        box = bytes((a if n % 2 == 0 else b).encrypt(text))
        assert bytes((b if n % 2 == 0 else a).decrypt(box)) == text
        sent.append((text, box))
    print("    {")
    for value in (psk, prologue, *keys, payload1, msg1, payload2, msg2):
        print(f"        {c_string(value)},")
    print("        {")
    for text, box in sent:
        print(f"            {{{c_string(text)}, {c_string(box)}}},")
    print("        },\n    },")


print("/* Made by make_noise_vectors.py (its head says how); hexadecimal. Not to be edited. */")
case(0, b"", b"", b"", [b"", b"", b"hello", b"world", b"third", b"third back"])
case(1, b"hq net\x01\x01", b"", seeded("id", 8), [seeded(f"text {n}", 16 + 61 * n) for n in range(6)])
case(2, seeded("prologue", 100), b"payload one", seeded("payload two", 200), [seeded(f"more {n}", 1 + n) for n in range(6)])
