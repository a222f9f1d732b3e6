"""MS-CHAPv2 as the client computes it (RFC 2759, RFC 3079), over Samba's MD4, DES and RC4: an oracle that shares no code with the server."""

import hashlib
import os
from dataclasses import dataclass
from dataclasses import field

from samba.crypto import arcfour_crypt_blob
from samba.crypto import des_crypt_blob_16
from samba.crypto import md4_hash_blob

# RFC 2759 §8.7, RFC 3079 §3.4: sentences that are hashed, and so must be these letter by letter.
SERVER_SIGNS, CLIENT_PADS = b"Magic server to client signing constant", b"Pad to make it do more than one iteration"
MASTER = b"This is the MPPE Master Key"
CLIENT_SENDS = b"On the client side, this is the send key; on the server side, it is the receive key."
CLIENT_RECEIVES = b"On the client side, this is the receive key; on the server side, it is the send key."


def nt_hash(password):
    return md4_hash_blob(password.encode("utf-16le"))


def encrypted(block, key):
    """One block under three keys of seven octets: 24 octets (RFC 2759 §8.5)."""
    padded = key + bytes(5)
    return des_crypt_blob_16(block * 2, padded[:14]) + des_crypt_blob_16(block * 2, padded[14:] * 2)[:8]


def hash_under(block16, key):
    """A hash encrypted with a hash, as two blocks under two keys (RFC 2759 §8.13)."""
    return des_crypt_blob_16(block16, key[:14])


@dataclass
class Handshake:
    """One login: what goes out, and what must come back."""

    name: str
    password: str
    authenticator: bytes = field(default_factory=lambda: os.urandom(16))
    peer: bytes = field(default_factory=lambda: os.urandom(16))
    ident: int = 7

    def challenge(self):
        plain_name = self.name.rsplit("\\", 1)[-1]
        return hashlib.sha1(self.peer + self.authenticator + plain_name.encode()).digest()[:8]

    def nt_response(self):
        return encrypted(self.challenge(), nt_hash(self.password))

    def response(self):
        """MS-CHAP2-Response, 50 octets (RFC 2548 §2.3.2)."""
        return bytes((self.ident, 0)) + self.peer + bytes(8) + self.nt_response()

    def attributes(self):
        return {"MS-CHAP-Challenge": f"0x{self.authenticator.hex()}", "MS-CHAP2-Response": f"0x{self.response().hex()}"}

    def success(self):
        """MS-CHAP2-Success (RFC 2548 §2.3.3)."""
        signed = hashlib.sha1(md4_hash_blob(nt_hash(self.password)) + self.nt_response() + SERVER_SIGNS).digest()
        proof = hashlib.sha1(signed + self.challenge() + CLIENT_PADS).digest()
        return bytes((self.ident,)) + b"S=" + proof.hex().upper().encode()

    def keys(self):
        """The server's send and receive key, 128 bit (RFC 3079 §3.3)."""
        master = hashlib.sha1(md4_hash_blob(nt_hash(self.password)) + self.nt_response() + MASTER).digest()[:16]
        derived = (hashlib.sha1(master + bytes(40) + words + b"\xf2" * 40).digest()[:16] for words in (CLIENT_RECEIVES, CLIENT_SENDS))
        return tuple(derived)


def change(handshake, new):
    """MS-CHAP2-CPW and its three fragments of the new password (RFC 2548 §2.1.4, §2.3.4); `handshake` is of the new password's login."""
    old_hash, new_hash = nt_hash(handshake.password), nt_hash(new)
    text = new.encode("utf-16le")
    block = os.urandom(512 - len(text)) + text + len(text).to_bytes(4, "little")
    sealed = arcfour_crypt_blob(block, old_hash)
    answered = Handshake(handshake.name, new, handshake.authenticator, handshake.peer, handshake.ident)
    cpw = bytes((7, handshake.ident)) + hash_under(old_hash, new_hash) + handshake.peer + bytes(8) + answered.nt_response() + bytes(2)
    pieces = [sealed[:243], sealed[243:486], sealed[486:]]
    fragments = [bytes((6, handshake.ident)) + number.to_bytes(2, "big") + piece for number, piece in enumerate(pieces, 1)]
    return answered, cpw, fragments
