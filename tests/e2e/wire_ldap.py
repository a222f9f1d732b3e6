"""LDAP messages by hand (RFC 4511), for what no client sends: too deep, too long, out of turn, cut where nobody cuts."""

import socket
import ssl
from dataclasses import dataclass

BIND, BIND_RESPONSE, UNBIND, SEARCH, ENTRY, DONE, ABANDON, EXTENDED, EXTENDED_RESPONSE = 0x60, 0x61, 0x42, 0x63, 0x64, 0x65, 0x50, 0x77, 0x78
SIMPLE, SASL = 0x80, 0xa3
START_TLS, WHO_AM_I, NOTICE = "1.3.6.1.4.1.1466.20037", "1.3.6.1.4.1.4203.1.11.3", "1.3.6.1.4.1.1466.20036"
ROOT = b""
CHUNK_LEN = 1 << 20


def element(tag, *parts):
    """Tag, length, value."""
    value = b"".join(parts)
    size = len(value)
    if size < 0x80:
        return bytes((tag, size)) + value
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + value


def integer(value, tag=0x02):
    return element(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def octets(value, tag=0x04):
    return element(tag, value if isinstance(value, bytes) else value.encode())


def message(number, operation, controls=b""):
    return element(0x30, integer(number), operation, controls)


def bind(number, name, password):
    return message(number, element(BIND, integer(3), octets(name), octets(password, SIMPLE)))


def sasl(number, mechanism, credentials=b"\0alice\0x"):
    return message(number, element(BIND, integer(3), octets(""), element(SASL, octets(mechanism), octets(credentials))))


def bind_by(number, choice, content=b"NTLMSSP\0"):
    """A bind with an authentication choice of any tag."""
    return message(number, element(BIND, integer(3), octets("alice"), element(choice, content)))


def search(number, base, scope=2, wanted=octets("objectClass", 0x87), attributes=(), controls=b""):
    limits = integer(0, 0x0a) + integer(0) + integer(0) + element(0x01, b"\0")
    listed = element(0x30, *(octets(each) for each in attributes))
    return message(number, element(SEARCH, octets(base), integer(scope, 0x0a), limits, wanted, listed), controls)


def negated(depth):
    """A filter of so many NOTs inside each other."""
    heads, size = [], 2
    for _ in range(depth):
        heads.append(b"\xa2\x84" + size.to_bytes(4, "big"))
        size += len(heads[-1])
    return b"".join(reversed(heads)) + b"\x87\0"


def abandon(number, target):
    return message(number, integer(target, ABANDON))


def unbind(number):
    return message(number, element(UNBIND))


def extended(number, name, *value):
    return message(number, element(EXTENDED, octets(name, 0x80), *(octets(each, 0x81) for each in value)))


def cut(data):
    """The first element of some bytes: its tag, its value, and what follows."""
    size, at = data[1], 2
    if size & 0x80:
        at += size & 0x7f
        size = int.from_bytes(data[2:at], "big")
    assert len(data) >= at + size, "an element is cut off"
    return data[0], data[at:at + size], data[at + size:]


@dataclass
class Answer:
    """A message of the server."""

    number: int
    tag: int
    body: bytes

    @property
    def code(self):
        """The result code; of a Notice of Disconnection too."""
        tag, value, _ = cut(self.body)
        assert tag == 0x0a, f"no result: {self}"
        return int.from_bytes(value, "big")

    @property
    def texts(self):
        """What stands behind the result code: the name, the text, and of an extended response its OID."""
        found, rest = [], cut(self.body)[2]
        while rest:
            _, value, rest = cut(rest)
            found.append(value.decode())
        return found

    @property
    def is_notice(self):
        return self.number == 0 and self.tag == EXTENDED_RESPONSE and self.texts[-1] == NOTICE


def parsed(raw):
    _, inside, _ = cut(raw)
    _, number, rest = cut(inside)
    tag, body, _ = cut(rest)
    return Answer(int.from_bytes(number, "big"), tag, body)


class Line:
    """One connection, whose bytes a case writes itself."""

    def __init__(self, address, authority=None, source="127.0.0.1"):
        host, port = address.rsplit(":", 1)
        self.host, self.authority, self.data = host.strip("[]"), authority, b""
        self.socket = socket.create_connection((self.host, int(port)), timeout=20, source_address=None if ":" in self.host else (source, 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def secure(self, version=None):
        """TLS from here on, of this version alone if one is named."""
        context = ssl.create_default_context(cafile=self.authority.cert)
        if version:
            context.set_ciphers("ALL:@SECLEVEL=0")  # else OpenSSL offers nothing old
            context.minimum_version = context.maximum_version = version
        self.socket = context.wrap_socket(self.socket, server_hostname=self.host)
        return self

    def certificate(self):
        return self.socket.getpeercert(binary_form=True)

    def send(self, *messages):
        """All at once, so that they arrive together."""
        self.socket.sendall(b"".join(messages))

    def hear(self, seconds=20):
        """The next message; None where the server closes the connection. Silence is an error."""
        raw = self.frame(seconds)
        return raw and parsed(raw)

    def frame(self, seconds=20):
        """The next message as it came."""
        self.socket.settimeout(seconds)
        while (size := whole(self.data)) is None or len(self.data) < size:
            try:
                more = self.socket.recv(CHUNK_LEN)
            except ConnectionResetError:
                more = b""
            if not more:
                assert not self.data, f"closed within a message: {self.data[:40]!r}"
                return None
            self.data += more
        raw, self.data = self.data[:size], self.data[size:]
        return raw

    def ask(self, *messages, seconds=20):
        self.send(*messages)
        return self.hear(seconds)

    def bound(self, name, password):
        """The same, bound as somebody."""
        code = self.ask(bind(1, name, password)).code
        assert code == 0, f"bind: {code}"
        return self

    def is_silent(self, seconds):
        """Whether nothing comes for so long."""
        try:
            heard = self.hear(seconds)
        except TimeoutError:
            return True
        raise AssertionError(f"heard {heard}")


def whole(data):
    """How long the first message is; None while its head is not there."""
    if len(data) < 2:
        return None
    if data[1] < 0x80:
        return 2 + data[1]
    at = 2 + (data[1] & 0x7f)
    return at + int.from_bytes(data[2:at], "big") if len(data) >= at else None
