"""NASes of all kinds: radclient with any attributes, eapol_test, and a look at what went over the wire."""

import re
import subprocess
import threading
import time
from dataclasses import dataclass
from dataclasses import field

import clients
import peers
import wire
from clients import quoted

# What belongs to the exchange and not to the person.
OF_THE_HOP = ("Message-Authenticator", "Proxy-State", "State")


@dataclass
class Heard:
    """What radclient heard, attributes in order, each as a line `Name = value`."""

    kind: str = "silence"
    lines: list = field(default_factory=list)

    def all(self, name):
        return [value for each, value in self.pairs() if each == name]

    def first(self, name):
        return next(iter(self.all(name)), None)

    def pairs(self):
        return [tuple(line.split(" = ", 1)) for line in self.lines]

    def lasting(self):
        """All that must survive us unchanged, sorted, since the order of different types is nobody's promise."""
        return sorted(pair for pair in self.pairs() if pair[0] not in OF_THE_HOP)


class Nas:
    """radclient from one address. What it prints is decrypted: MPPE keys and Tunnel-Password in clear."""

    def __init__(self, address, secret, source, patience=10):
        self.address, self.secret, self.source, self.patience = address, secret, source, patience

    def send(self, *pairs, tries=1, kind="auth"):
        """Sends one packet; `tries` more than one sends it again, as it was, each `patience` seconds."""
        lines = [f"{name} = {value}" for name, value in pairs] + [f"Packet-Src-IP-Address = {self.source}"]
        words = ["radclient", "-x", "-t", str(self.patience), "-r", str(tries), self.address, kind, self.secret]
        done = subprocess.run(words, input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=self.patience * tries + 10)
        received = re.search(r"^Received (\S+) Id .*\n((?:\t.*\n)*)", done.stdout, re.M)
        if received:
            return Heard(received[1], [line.strip() for line in received[2].splitlines()])
        if "No reply" in done.stdout + done.stderr:
            return Heard()
        raise RuntimeError(done.stdout + done.stderr)

    def ask(self, name, *pairs, state=None, tries=1, nas="e2e"):
        """An Access-Request as a VPN sends it. Values of `pairs` stand as they are."""
        wanted = [("User-Name", quoted(name)), ("NAS-Identifier", quoted(nas)), ("Calling-Station-Id", '"198.51.100.7"'), ("Message-Authenticator", "0x00")]
        return self.send(*wanted, *pairs, *([("State", state)] if state else []), tries=tries)

    def pap(self, name, password=peers.PASSWORD, *pairs, **more):
        return self.ask(name, ("User-Password", quoted(password)), *pairs, **more)

    def chap(self, name, password=peers.PASSWORD):
        return self.ask(name, ("CHAP-Password", quoted(password)))

    def mschap(self, handshake, *pairs):
        return self.ask(handshake.name, *handshake.attributes().items(), *pairs)

    def answer(self, heard, name, text):
        """The answer to a challenge."""
        return self.pap(name, text, state=heard.first("State"))

    def status(self):
        return self.send(("Message-Authenticator", "0x00"), kind="status")

    def account(self, name, status, session):
        return self.send(("User-Name", quoted(name)), ("Acct-Status-Type", status), ("Acct-Session-Id", quoted(session)), ("NAS-Identifier", '"e2e"'), kind="acct")


@dataclass
class Eap:
    """What eapol_test says: whether it got in, and whether the keys it derived are those the server sent."""

    success: bool
    keys_match: bool
    text: str


METHODS = {
    "PEAP": 'eap=PEAP\n password="@PASSWORD@"\n phase2="auth=MSCHAPV2"',
    "TTLS": 'eap=TTLS\n password="@PASSWORD@"\n phase2="auth=PAP"',
    "TLS": 'eap=TLS\n client_cert="@CERT@"\n private_key="@KEY@"\n fragment_size=1000',
}


class Supplicant:
    """eapol_test: the person's machine and the access point in one."""

    def __init__(self, folder, address, secret, source, authority):
        self.folder, self.address, self.secret, self.source, self.authority = folder, address, secret, source, authority

    def log_in(self, method, name, outer="anonymous@example.test", password=peers.PASSWORD, pair=("", ""), nas="e2e", seconds=30):
        values = METHODS[method].replace("@PASSWORD@", password).replace("@CERT@", str(pair[0])).replace("@KEY@", str(pair[1]))
        config = self.folder / f"eapol-{method}-{threading.get_ident()}.conf"
        tunnel = f' anonymous_identity="{outer}"\n' if method != "TLS" else ""
        config.write_text(f'network={{\n key_mgmt=WPA-EAP\n identity="{name}"\n{tunnel} ca_cert="{self.authority.cert}"\n {values}\n}}\n')
        host, port = self.address.rsplit(":", 1)
        words = ["eapol_test", "-c", config, "-a", host, "-p", port, "-s", self.secret, "-A", self.source, "-r0", "-t", seconds, "-N", f"32:s:{nas}"]
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=seconds + 10)
        return Eap(done.returncode == 0 and "SUCCESS" in done.stdout[-200:], "mismatch: 0" in done.stdout, done.stdout)


class Wiretap:
    """tcpdump on one port, both directions; afterwards the RADIUS packets in order, with the port they came from."""

    def __init__(self, file, port):
        self.file, self.port = file, port

    def __enter__(self):
        words = ["tcpdump", "-Z", "root", "-i", "lo", "-U", "-B", "8192", "-w", self.file, "udp", "port", str(self.port)]
        self.daemon = peers.Daemon(self.file.with_suffix(".log"), *words)
        peers.until("tcpdump", lambda: "listening on" in self.daemon.log.read_text(), 15)
        return self

    def __exit__(self, *_):
        self.daemon.stop()

    def packets(self):
        """Triples of moment in seconds, whether it came from the port listened to, and packet."""
        return [(moment, source == self.port, wire.parse(data)) for moment, source, data in frames(self.file.read_bytes())]


def frames(data):
    """Moment, UDP source port and payload of each whole IPv4 frame in a capture of Ethernet."""
    at = 24
    while len(data) >= at + 16:
        seconds, micros, size = (int.from_bytes(data[at + place:at + place + 4], "little") for place in (0, 4, 8))
        frame = data[at + 16:at + 16 + size]
        if len(frame) < size:
            return  # still being written
        at += 16 + size
        yield seconds + micros / 1e6, int.from_bytes(frame[34:36], "big"), frame[42:]


class Flood:
    """Nonsense from each of `sources`, `rate_wanted` packets a second in all, while a case does something else."""

    def __init__(self, address, sources, rate_wanted):
        self.address, self.sources, self.pause = address, sources, len(sources) / rate_wanted
        self.over, self.sent = threading.Event(), 0

    def __enter__(self):
        self.begun = time.monotonic()
        self.workers = [threading.Thread(target=self.pour, args=(source,)) for source in self.sources]
        for worker in self.workers:
            worker.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for worker in self.workers:
            worker.join()
        self.seconds = time.monotonic() - self.begun

    def rate(self):
        return self.sent / self.seconds

    def pour(self, source):
        nonsense = [b"", b"\x01" * 19, bytes(200), b"\x01\x07\x00\x26" + bytes(34), b"\x01\x08\xff\xff" + bytes(60), b"\x02\x09\x00\x14" + bytes(16),
                    b"\x01\x0a\x00\x18" + bytes(16) + b"\x01\x00aa", b"\x63\x0b\x00\x14" + bytes(16)]
        begun, sent = time.monotonic(), 0
        with wire.Socket(self.address, source, clients.RADIUS_SECRET) as nas:
            while not self.over.is_set():
                for packet in nonsense:
                    nas.send(packet)
                sent += len(nonsense)
                self.over.wait(max(0, begun + sent * self.pause - time.monotonic()))
        self.sent += sent
