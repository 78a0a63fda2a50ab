#!/usr/bin/env python3
# Makes test/integration/golden-stored-values.json: values as kube-apiserver stores them, for every provider of encryption at rest, with
# a JSON and a protobuf payload. Shares nothing with Coffer's code: AES, HKDF and Poly1305 are those of Python's `cryptography`, Salsa20
# and the protobuf messages are written out here from their definitions. Needs: pip install cryptography.
import base64
import json
import struct

from cryptography.hazmat.primitives import hashes, padding, poly1305
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

KEY = bytes(range(32))
SEED = bytes(range(100, 132))


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def protobuf_secret(name, data):
    """runtime.Unknown with a core/v1 Secret; fields without value are present and empty, as Go's generated code writes them."""
    created = field(1, 1700000000) + field(2, 0)
    meta = field(1, name) + field(2, "") + field(3, "default") + field(4, "") + field(5, "uid-" + name) + field(6, "") + field(7, 0) + field(8, created)
    secret = field(1, meta) + b"".join(field(2, field(1, k) + field(2, v)) for k, v in data.items()) + field(3, "Opaque")
    unknown = field(1, field(1, "v1") + field(2, "Secret")) + field(2, secret) + field(3, "") + field(4, "")
    return b"k8s\0" + unknown


def json_secret(name, data):
    meta = {"name": name, "namespace": "default", "uid": "uid-" + name, "creationTimestamp": "2023-11-14T22:13:20Z"}
    values = {k: base64.b64encode(v).decode() for k, v in data.items()}
    return json.dumps({"kind": "Secret", "apiVersion": "v1", "metadata": meta, "data": values, "type": "Opaque"}, separators=(",", ":")).encode() + b"\n"


def salsa20_core(state):
    x = list(state)

    def quarter(a, b, c, d):
        for target, one, two, shift in ((b, a, d, 7), (c, b, a, 9), (d, c, b, 13), (a, d, c, 18)):
            total = (x[one] + x[two]) & 0xFFFFFFFF
            x[target] ^= (total << shift | total >> (32 - shift)) & 0xFFFFFFFF

    for _ in range(10):
        for column in ((0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11)):
            quarter(*column)
        for row in ((0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14)):
            quarter(*row)
    return x


def salsa20_state(key, sixteen):
    sigma = struct.unpack("<4I", b"expand 32-byte k")
    k, n = struct.unpack("<8I", key), struct.unpack("<4I", sixteen)
    return [sigma[0], *k[:4], sigma[1], *n, sigma[2], *k[4:], sigma[3]]


def secretbox(key, nonce, message):
    mixed = salsa20_core(salsa20_state(key, nonce[:16]))
    subkey = struct.pack("<8I", *(mixed[i] for i in (0, 5, 10, 15, 6, 7, 8, 9)))
    stream = b""
    for block in range((32 + len(message)) // 64 + 1):
        state = salsa20_state(subkey, nonce[16:] + struct.pack("<Q", block))
        stream += struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(salsa20_core(state), state)))
    encrypted = bytes(a ^ b for a, b in zip(message, stream[32:]))
    return poly1305.Poly1305.generate_tag(stream[:32], encrypted) + encrypted


def aescbc(key, iv, message):
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return iv + encryptor.update(padder.update(message) + padder.finalize()) + encryptor.finalize()


def aesgcm(key, nonce, message, authenticated):
    return nonce + AESGCM(key).encrypt(nonce, message, authenticated)


def kms_object(encrypted, source_type):
    # The plugin of the tests encrypts by turning every bit over.
    source = bytes(b ^ 0xFF for b in (SEED if source_type else KEY))
    annotation = field(1, "version.example.com") + field(2, b"1")
    return field(1, encrypted) + field(2, "key-1") + field(3, source) + field(4, annotation) + (field(5, source_type) if source_type else b"")


def kms_seed(message, authenticated):
    info = bytes(range(50, 82))
    derived = HKDFExpand(hashes.SHA256(), 32, info).derive(SEED)
    return kms_object(info + aesgcm(derived, bytes(range(12)), message, authenticated), 1)


PROVIDERS = {
    "aesgcm": lambda m, ad: b"k8s:enc:aesgcm:v1:golden:" + aesgcm(KEY, bytes(range(200, 212)), m, ad),
    "aescbc": lambda m, ad: b"k8s:enc:aescbc:v1:golden:" + aescbc(KEY, bytes(range(16)), m),
    "secretbox": lambda m, ad: b"k8s:enc:secretbox:v1:golden:" + bytes(range(24)) + secretbox(KEY, bytes(range(24)), m),
    "kms-seed": lambda m, ad: b"k8s:enc:kms:v2:vault:" + kms_seed(m, ad),
    "kms-key": lambda m, ad: b"k8s:enc:kms:v2:vault:" + kms_object(aesgcm(KEY, bytes(range(12)), m, ad), 0),
    "identity": lambda m, ad: m,
}

values = []
for provider, encrypt in PROVIDERS.items():
    for form, payload in (("json", json_secret), ("protobuf", protobuf_secret)):
        name = f"{provider}-{form}"
        password = f"password of {name}"
        key = f"/registry/secrets/default/{name}"
        stored = encrypt(payload(name, {"password": password.encode()}), key.encode())
        values.append({"key": key, "name": name, "password": password, "stored": base64.b64encode(stored).decode()})
print(json.dumps({"secret": base64.b64encode(KEY).decode(), "values": values}, indent=2))
