"""EAP through us to FreeRADIUS, with eapol_test: the person is asked once, at the end, and no key leaves before."""

import time

import peers
import wire
from cases import same
from cases_upstream import Meanwhile
from clients_radius import Wiretap
from telephone import APPROVE
from telephone import DENY
from telephone import WAIT

EAP_FAILURE = 4


def log_in(world, method, name="alice", **more):
    pair = world.person_pair if method == "TLS" else ("", "")
    return world.supplicant.log_in(method, name, pair=pair, **more)


def allowed_and_denied(world, method):
    for manner in (APPROVE, DENY):
        world.phone.will("alice", manner)
        before = world.phone.pushes("alice")
        done = log_in(world, method)
        same((done.success, world.phone.pushes("alice") - before), (manner == APPROVE, 1), f"{method}, {manner}: {done.text[-300:]}")
        if done.success:
            assert done.keys_match, f"{method}: the keys of the access point are not those of the machine"
    world.phone.will("alice", APPROVE)


def keys(packet):
    return packet.vendor(wire.MICROSOFT, wire.MPPE_SEND) + packet.vendor(wire.MICROSOFT, wire.MPPE_RECV)


def r_084_peap_mschapv2_allowed_and_denied(world):
    allowed_and_denied(world, "PEAP")


def r_084_ttls_pap_allowed_and_denied(world):
    allowed_and_denied(world, "TTLS")


def r_084_tls_allowed_and_denied(world):
    allowed_and_denied(world, "TLS")


def r_084_a_wrong_password_rings_no_telephone(world):
    before = world.phone.pushes("alice")
    for method in ("PEAP", "TTLS"):
        assert not log_in(world, method, password="wrong").success, method
    same(world.phone.pushes("alice") - before, 0)


def r_084_no_key_leaves_before_the_person_approves_and_nothing_goes_upstream_meanwhile(world):
    world.phone.will("alice", WAIT)
    before = world.phone.pushes("alice")
    with Wiretap(world.folder / "eap.pcap", world.port) as tap:
        login = Meanwhile(lambda: log_in(world, "PEAP"))
        world.phone.rings("alice", before)
        requests = len(world.upstream.requests("anonymous@example.test"))
        peers.until("a retransmission while the telephone rings", lambda: repeated(tap), 15)
        same([packet.kind for _, ours, packet in tap.packets() if ours and (packet.code == 2 or keys(packet))], [], "what left before:")
        approved = time.time()
        world.phone.answer("alice", APPROVE)
        done = login.result()
        assert done.success and done.keys_match, done.text[-300:]
        peers.until("the captured Accept", lambda: any(packet.code == 2 for _, _, packet in tap.packets()), 10)
    accepts = [(moment, packet) for moment, ours, packet in tap.packets() if ours and packet.code == 2]
    assert all(moment >= approved and len(keys(packet)) == 2 for moment, packet in accepts), accepts
    same((world.phone.pushes("alice") - before, len(world.upstream.requests("anonymous@example.test")) - requests), (1, 0), "pushes, and upstream requests while held:")
    world.phone.will("alice", APPROVE)


def repeated(tap):
    """Whether a request has been sent twice."""
    seen = [(packet.identifier, packet.authenticator) for _, ours, packet in tap.packets() if not ours]
    return len(seen) > len(set(seen))


def r_085_a_denied_login_ends_with_eap_failure_and_no_keys(world):
    world.phone.will("alice", DENY)
    with Wiretap(world.folder / "denied.pcap", world.port) as tap:
        assert not log_in(world, "PEAP").success
        peers.until("the captured Reject", lambda: any(packet.code == 3 for _, _, packet in tap.packets()), 10)
    world.phone.will("alice", APPROVE)
    replies = [packet for _, ours, packet in tap.packets() if ours]
    asked = [packet for _, ours, packet in tap.packets() if not ours]
    same([packet for packet in replies if keys(packet)], [])
    failure = b"".join(replies[-1].all(wire.EAP_MESSAGE))
    same((replies[-1].kind, failure[0], len(failure)), ("Access-Reject", EAP_FAILURE, 4))
    same(failure[1], asked[-1].first(wire.EAP_MESSAGE)[1], "the EAP identifier:")


def r_080_r_081_chains_over_4_kb_travel_in_pieces(world):
    with Wiretap(world.folder / "chain.pcap", world.port) as tap:
        assert log_in(world, "TLS").success
        peers.until("the captured Accept", lambda: any(packet.code == 2 for _, _, packet in tap.packets()), 10)
    for ours, who in ((True, "the server"), (False, "the person")):
        packets = [packet for _, from_us, packet in tap.packets() if from_us == ours]
        total = sum(len(piece) for packet in packets for piece in packet.all(wire.EAP_MESSAGE))
        assert total > 4096, f"{who} sent {total} octets of EAP"
        for packet in packets:
            places = [place for place, (kind, _) in enumerate(packet.attributes) if kind == wire.EAP_MESSAGE]
            same(places, list(range(places[0], places[0] + len(places))), f"{who}, consecutive:")
            same({len(piece) for piece in packet.all(wire.EAP_MESSAGE)[:-1]} - {253}, set(), f"{who}, whole pieces:")


def r_072_the_accept_names_the_person(world):
    with Wiretap(world.folder / "named.pcap", world.port) as tap:
        assert log_in(world, "TTLS").success
        peers.until("the captured Accept", lambda: any(packet.code == 2 for _, _, packet in tap.packets()), 10)
    accept = [packet for _, ours, packet in tap.packets() if ours and packet.code == 2][-1]
    same((accept.all(wire.USER_NAME), accept.all(11)), ([b"alice"], [b"staff-acl"]))


def r_087_the_factor_is_the_inner_persons(world):
    before = {name: world.phone.pushes(name) for name in ("bob", "alice", "anonymous", "anonymous@example.test")}
    assert log_in(world, "PEAP", "bob", outer="alice").success
    after = {name: world.phone.pushes(name) - count for name, count in before.items()}
    same(after, {"bob": 1, "alice": 0, "anonymous": 0, "anonymous@example.test": 0})


def r_087_an_accept_that_names_nobody_is_refused(world):
    before = dict(world.phone.asked)
    for outer in ("alice@nameless", "anonymous@nameless"):
        assert not log_in(world, "TTLS", "alice", outer=outer).success, outer
    same(dict(world.phone.asked), before, "pushes:")


def r_087_of_two_names_in_an_accept_the_outer_one_never_counts(world):
    before = {name: world.phone.pushes(name) for name in ("alice", "bob")}
    done = log_in(world, "TTLS", "alice", outer="bob", nas="twonames")
    same({name: world.phone.pushes(name) - count for name, count in before.items()}, {"alice": int(done.success), "bob": 0})


def r_083_conversations_at_once_do_not_mix(world):
    pushes = {name: world.phone.pushes(name) for name in ("alice", "bob", "carol", "dora")}
    logins = {name: Meanwhile(lambda name=name: log_in(world, "PEAP", name)) for name in pushes}
    same({name: login.result().success for name, login in logins.items()}, dict.fromkeys(pushes, True))
    same({name: world.phone.pushes(name) - count for name, count in pushes.items()}, dict.fromkeys(pushes, 1))
