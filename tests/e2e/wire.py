"""RADIUS packets by hand, for what no client sends: the same request twice, a forged one, one over TLS, ten thousand that are nonsense."""

import hashlib
import hmac
import os
import socket
import ssl
import struct
from dataclasses import dataclass

ACCESS_REQUEST, ACCOUNTING_REQUEST, STATUS_SERVER = 1, 4, 12
NAMES = {2: "Access-Accept", 3: "Access-Reject", 5: "Accounting-Response", 11: "Access-Challenge"}
USER_NAME, USER_PASSWORD, REPLY_MESSAGE, STATE, VENDOR_SPECIFIC, NAS_IDENTIFIER, PROXY_STATE = 1, 2, 18, 24, 26, 32, 33
ACCT_STATUS_TYPE, ACCT_SESSION_ID, EAP_MESSAGE, MESSAGE_AUTHENTICATOR = 40, 44, 79, 80
MICROSOFT, MPPE_SEND, MPPE_RECV = 311, 16, 17


@dataclass
class Packet:
    code: int
    identifier: int
    authenticator: bytes
    attributes: list  # pairs of type and value

    @property
    def kind(self):
        return NAMES.get(self.code, str(self.code))

    def all(self, kind):
        return [value for each, value in self.attributes if each == kind]

    def first(self, kind):
        return next(iter(self.all(kind)), None)

    def vendor(self, vendor, kind):
        """The values of a vendor's attributes of one kind."""
        values = (value for value in self.all(VENDOR_SPECIFIC) if struct.unpack_from(">I", value)[0] == vendor)
        return [value[6:4 + value[5]] for value in values if value[4] == kind]


def attribute(kind, value):
    return bytes((kind, 2 + len(value))) + value


def vendor_specific(vendor, kind, value):
    return VENDOR_SPECIFIC, struct.pack(">IBB", vendor, kind, 2 + len(value)) + value


def hidden(password, secret, authenticator):
    """User-Password (RFC 2865 §5.2)."""
    plain, sealed, before = password + bytes(-len(password) % 16 or (16 if not password else 0)), b"", authenticator
    for at in range(0, len(plain), 16):
        pad = hashlib.md5(secret + before).digest()
        before = bytes(a ^ b for a, b in zip(plain[at:at + 16], pad))
        sealed += before
    return sealed


def opened(value, secret, authenticator):
    """The text of a salted attribute such as MS-MPPE-Send-Key (RFC 2548 §2.4.2), and its salt."""
    salt, sealed, plain, before = value[:2], value[2:], b"", authenticator + value[:2]
    for at in range(0, len(sealed), 16):
        pad = hashlib.md5(secret + before).digest()
        before = sealed[at:at + 16]
        plain += bytes(a ^ b for a, b in zip(before, pad))
    return plain[1:1 + plain[0]], salt


def parse(data):
    code, identifier, length = struct.unpack_from(">BBH", data)
    attributes, at = [], 20
    while at < length:
        kind, size = data[at], data[at + 1]
        attributes.append((kind, data[at + 2:at + size]))
        at += size
    return Packet(code, identifier, data[4:20], attributes)


def request(secret, attributes, identifier=None, code=ACCESS_REQUEST):
    """A signed Access-Request or Status-Server: Message-Authenticator first. A User-Password is given in clear and hidden here."""
    authenticator, identifier = os.urandom(16), os.urandom(1)[0] if identifier is None else identifier
    body = b"".join(attribute(kind, hidden(value, secret, authenticator) if kind == USER_PASSWORD else value) for kind, value in attributes)
    head = struct.pack(">BBH", code, identifier, 38 + len(body)) + authenticator
    signature = hmac.new(secret, head + attribute(MESSAGE_AUTHENTICATOR, bytes(16)) + body, "md5").digest()
    return head + attribute(MESSAGE_AUTHENTICATOR, signature) + body


def accounting(secret, attributes, identifier=None):
    """An Accounting-Request, whose authenticator is its signature (RFC 2866 §3)."""
    identifier = os.urandom(1)[0] if identifier is None else identifier
    body = b"".join(attribute(kind, value) for kind, value in attributes)
    head = struct.pack(">BBH", ACCOUNTING_REQUEST, identifier, 20 + len(body))
    return head + hashlib.md5(head + bytes(16) + body + secret).digest() + body


def verified(reply, asked, secret):
    """The reply, if it answers what was asked and both its authenticators are right and Message-Authenticator is its first attribute."""
    packet, of_request = parse(reply), asked[4:20]
    assert packet.identifier == asked[1], "a reply to another request"
    wanted = hashlib.md5(reply[:4] + of_request + reply[20:] + secret).digest()
    assert wanted == packet.authenticator, "the Response Authenticator is wrong"
    if packet.code != 5:
        assert reply[20] == MESSAGE_AUTHENTICATOR, f"Message-Authenticator is not first: {reply[20]}"
        blank = reply[:4] + of_request + reply[20:22] + bytes(16) + reply[38:]
        assert hmac.new(secret, blank, "md5").digest() == reply[22:38], "the Message-Authenticator is wrong"
    return packet


class Socket:
    """A NAS with one UDP port of its own that stays open, so that a request can be sent again as it was."""

    def __init__(self, address, source, secret):
        host, port = address.rsplit(":", 1)
        self.secret = secret.encode()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((source, 0))
        self.socket.connect((host, int(port)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, packet):
        self.socket.send(packet)

    def hear(self, asked, seconds):
        """The reply to `asked`, or None for silence."""
        self.socket.settimeout(seconds)
        try:
            return verified(self.socket.recv(4096), asked, self.secret)
        except TimeoutError:
            return None

    def ask(self, packet, seconds=8):
        self.send(packet)
        return self.hear(packet, seconds)


class Tls:
    """A NAS that speaks RADIUS over TLS (RFC 6614), or RADIUS/1.1 (RFC 9765) when `alpn` says so."""

    SECRET = b"radsec"

    def __init__(self, address, source, authority, pair=None, alpn=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(authority.cert)
        if pair:
            context.load_cert_chain(*pair)
        if alpn:
            context.set_alpn_protocols(alpn)
        host, port = address.rsplit(":", 1)
        plain = socket.create_connection((host, int(port)), timeout=10, source_address=(source, 0))
        self.socket = context.wrap_socket(plain, server_hostname=host)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def read(self, seconds=10):
        """One packet, or None where the server closes the connection or says nothing."""
        self.socket.settimeout(seconds)
        try:
            head = self.exactly(4)
            return head + self.exactly(struct.unpack_from(">H", head, 2)[0] - 4)
        except (EOFError, TimeoutError, OSError):
            return None

    def exactly(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def ask(self, packet, seconds=10):
        self.send(packet)
        reply = self.read(seconds)
        return reply and verified(reply, packet, self.SECRET)


def plain_request(token, attributes):
    """RADIUS/1.1: a token where the authenticator was, no signature, nothing hidden but a count before the password's padding (RFC 9765 §4)."""
    body = b"".join(attribute(kind, value) for kind, value in attributes)
    return struct.pack(">BBH", ACCESS_REQUEST, 0, 20 + len(body)) + token + bytes(12) + body
