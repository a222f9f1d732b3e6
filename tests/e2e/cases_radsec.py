"""RADIUS over TLS: to FreeRADIUS behind us, and from radsecproxy before us."""

import socket
import ssl

import peers
import wire
from cases import same
from peers import PASSWORD
from telephone import APPROVE
from telephone import DENY
from wire import Tls

SOURCE = "127.0.1.20"


def login(name="alice", identifier=None, secret=Tls.SECRET):
    attributes = [(wire.USER_NAME, name.encode()), (wire.USER_PASSWORD, PASSWORD.encode()), (wire.NAS_IDENTIFIER, b"by hand")]
    return wire.request(secret, attributes, identifier)


def refused(connect):
    """Whether a connection is worth nothing: the handshake fails, or nothing is said on it (TLS 1.3 tells a client late)."""
    try:
        with connect() as nas:
            nas.send(login())
            return nas.read(5) is None
    except (ssl.SSLError, OSError):
        return True


def radsec_to_the_upstream_allowed_denied_and_whole(world):
    wanted = world.straight.pap("alice")
    world.phone.will("alice", APPROVE)
    heard = world.udp.pap("alice")
    same((heard.kind, heard.lasting()), (wanted.kind, wanted.lasting()))
    world.phone.will("alice", DENY)
    same(world.udp.pap("alice").kind, "Access-Reject")
    world.phone.will("alice", APPROVE)
    same(world.udp.pap("alice", "wrong").kind, "Access-Reject")


def r_114_radsec_to_the_upstream_comes_back_by_itself(world):
    world.upstream.stop()
    same(world.radius(1, patience=8).pap("bob").kind, "silence")
    world.upstream.start()
    peers.until("a login after it came back", lambda: world.udp.pap("bob").kind == "Access-Accept", 60)


def r_111_radsecproxy_logs_people_in(world):
    nas = world.proxy("127.0.0.24", "client.example.test")
    asked = nas.pap("alice")
    same(asked.kind, "Access-Challenge")
    same(nas.answer(asked, "alice", world.alice.code()).kind, "Access-Accept")
    same(nas.pap("alice", "wrong").kind, "Access-Reject")


def r_112_a_certificate_of_another_name_is_refused(world):
    same(world.proxy("127.0.0.26", "other.example.test").pap("alice").kind, "silence")
    other = world.authority.issue("stranger.example.test", "DNS:stranger.example.test")
    assert refused(lambda: Tls(world.door, SOURCE, world.authority, other))


def r_111_no_certificate_or_one_of_another_authority_is_refused(world):
    foreign = peers.Authority(world.folder / "foreign").issue("client.example.test", "DNS:client.example.test")
    assert refused(lambda: Tls(world.door, SOURCE, world.authority)), "without one"
    assert refused(lambda: Tls(world.door, SOURCE, world.authority, foreign)), "of another authority"


def r_112_the_right_certificate_from_another_address_is_refused(world):
    assert refused(lambda: Tls(world.door, "127.0.1.21", world.authority, world.town.client_pair))


def r_110_nothing_is_said_to_plain_tcp(world):
    host, port = world.door.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10, source_address=(SOURCE, 0)) as plain:
        plain.sendall(login())
        plain.settimeout(10)
        assert not any(reply[:1] in (b"\x02", b"\x03", b"\x0b") for reply in [plain.recv(4096)])


def r_113_packets_in_one_piece_and_in_many(world):
    with Tls(world.door, SOURCE, world.authority, world.town.client_pair) as nas:
        one, two = login("alice", 1), login("bob", 2)
        nas.send(one + two)
        replies = {reply[1]: reply for reply in (nas.read(), nas.read())}
        same([wire.verified(replies[asked[1]], asked, Tls.SECRET).kind for asked in (one, two)], ["Access-Challenge"] * 2)
        again = login("alice", 3)
        for octet in again:
            nas.send(bytes((octet,)))
        same(wire.verified(nas.read(), again, Tls.SECRET).kind, "Access-Challenge")


def r_113_what_is_no_packet_closes_the_connection(world):
    forged = login(secret=b"not-radsec")
    for what, data in {"a length of 19": b"\x01\x01\x00\x13" + bytes(15), "a length of 60000": b"\x01\x01\xea\x60" + bytes(16), "a forged signature": forged,
                       "an unknown code": b"\x63" + login()[1:]}.items():
        with Tls(world.door, SOURCE, world.authority, world.town.client_pair) as nas:
            nas.send(data)
            same(closed(nas), True, what)


def closed(nas):
    nas.socket.settimeout(10)
    try:
        return nas.socket.recv(4096) == b""
    except TimeoutError:
        return False
    except (ssl.SSLError, OSError):
        return True


def r_116_radius_1_1_by_alpn(world):
    with Tls(world.door, SOURCE, world.authority, world.town.client_pair, alpn=["radius/1.1"]) as nas:
        same((nas.socket.selected_alpn_protocol(), nas.socket.version()), ("radius/1.1", "TLSv1.3"))
        asked = plain_ask(nas, b"\0\0\0\x01", [(wire.USER_NAME, b"alice"), (wire.USER_PASSWORD, PASSWORD.encode())])
        same(asked.kind, "Access-Challenge")
        answer = [(wire.USER_NAME, b"alice"), (wire.USER_PASSWORD, world.alice.code().encode()), (wire.STATE, asked.first(wire.STATE))]
        same(plain_ask(nas, b"\0\0\0\x02", answer).kind, "Access-Accept")


def plain_ask(nas, token, attributes):
    nas.send(wire.plain_request(token, attributes))
    data = nas.read()
    assert data, "the connection was closed"
    same((data[1], data[4:8], data[8:20]), (0, token, bytes(12)), "header of RADIUS/1.1:")
    reply = wire.parse(data)
    same(reply.all(wire.MESSAGE_AUTHENTICATOR), [], "a signature in RADIUS/1.1:")
    return reply


def r_116_radius_1_0_by_alpn_stays_as_it_was(world):
    with Tls(world.door, SOURCE, world.authority, world.town.client_pair, alpn=["radius/1.0"]) as nas:
        same((nas.socket.selected_alpn_protocol(), nas.ask(login()).kind), ("radius/1.0", "Access-Challenge"))
