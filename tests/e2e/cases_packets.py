"""Single packets, held to the letter of the RFCs, before the door of the first world."""

import os
import time

import wire
from cases import same
from clients import RADIUS_SECRET
from clients_radius import Flood
from clients_radius import Nas
from peers import PASSWORD
from wire import EAP_MESSAGE
from wire import NAS_IDENTIFIER
from wire import PROXY_STATE
from wire import STATE
from wire import USER_NAME
from wire import USER_PASSWORD
from wire import Socket

SECRET = RADIUS_SECRET.encode()
SILENT_S = 2


def door(world, source="127.0.0.1"):
    return Socket(world.server.ready["radius"][0], source, RADIUS_SECRET)


def login(name, password=PASSWORD, *more, identifier=None):
    attributes = [(USER_NAME, name.encode()), (USER_PASSWORD, password.encode()), (NAS_IDENTIFIER, b"by hand"), *more]
    return wire.request(SECRET, attributes, identifier)


def r_040_every_proxy_state_comes_back_as_it_was_and_in_order(world):
    states = [b"first", bytes(17), os.urandom(253), b"first"]
    with door(world) as nas:
        for password, kind in ((PASSWORD, "Access-Challenge"), ("wrong", "Access-Reject")):
            reply = nas.ask(login("carol", password, *((PROXY_STATE, state) for state in states)))
            same((reply.kind, reply.all(PROXY_STATE)), (kind, states))


def r_042_a_challenge_carries_one_state(world):
    with door(world) as nas:
        reply = nas.ask(login("carol"))
        same((reply.kind, len(reply.all(STATE))), ("Access-Challenge", 1))
        assert len(reply.first(STATE)) >= 16, "a State one could guess"


def r_051_a_request_that_was_answered_gets_the_same_bytes_again(world):
    with door(world) as nas:
        asked, replies = login("carol"), []
        for _ in range(3):
            nas.send(asked)
            nas.socket.settimeout(8)
            replies.append(nas.socket.recv(4096))
        same(wire.verified(replies[0], asked, SECRET).kind, "Access-Challenge")
        same(set(replies), {replies[0]})


def r_053_the_same_identifier_with_another_authenticator_is_another_request(world):
    with door(world) as nas:
        states = {nas.ask(login("carol", identifier=9)).first(STATE) for _ in range(2)}
        same(len(states), 2)


def r_062_two_kinds_of_password_at_once_are_refused(world):
    chap_password = (3, bytes(17))
    with door(world) as nas:
        same(nas.ask(login("carol", PASSWORD, chap_password)).kind, "Access-Reject")


def r_065_an_empty_password_is_refused(world):
    with door(world) as nas:
        same(nas.ask(login("carol", "")).kind, "Access-Reject")


def r_011_control_characters_in_a_name_are_refused(world):
    with door(world) as nas:
        for name in ("carol\0", "carol\0x", "ca\nrol", "carol\x1b[2J"):
            same(nas.ask(login(name)).kind, "Access-Reject", repr(name))


def r_036_eap_without_a_signature_is_silence(world):
    signed = login("carol", PASSWORD, (EAP_MESSAGE, b"\x02\x01\x00\x0a\x01carol"))
    unsigned = signed[:2] + (len(signed) - 18).to_bytes(2, "big") + signed[4:20] + signed[38:]
    with door(world) as nas:
        same(nas.ask(unsigned, SILENT_S), None)


def r_102_status_server_is_answered_when_it_is_signed(world):
    signed = wire.request(SECRET, [(NAS_IDENTIFIER, b"by hand")], code=wire.STATUS_SERVER)
    with door(world) as nas:
        reply = nas.ask(signed)
        same(reply.kind, "Access-Accept")
        same([kind for kind, _ in reply.attributes if kind not in (wire.MESSAGE_AUTHENTICATOR, wire.REPLY_MESSAGE)], [], "R-105:")
        wrong = wire.request(b"another secret", [], code=wire.STATUS_SERVER)
        same(nas.ask(wrong, SILENT_S), None)


def r_003_r_005_r_006_r_035_what_is_no_request_is_silence(world):
    whole = login("carol")
    twice = wire.request(SECRET, [(USER_NAME, b"carol"), (USER_PASSWORD, b"x"), (wire.MESSAGE_AUTHENTICATOR, bytes(16))])
    cases = {"cut": whole[:-1], "short": whole[:19], "an Access-Accept": b"\x02" + whole[1:], "code 99": b"\x63" + whole[1:], "signed twice": twice,
             "an attribute of length 1": wire.request(SECRET, [(USER_NAME, b"carol")]) + b"\x01\x01"}
    with door(world) as nas:
        for what, packet in cases.items():
            if what == "an attribute of length 1":
                packet = packet[:2] + len(packet).to_bytes(2, "big") + packet[4:]
            same(nas.ask(packet, 0.5), None, what)
        same(nas.ask(whole + bytes(40)).kind, "Access-Challenge", "R-004, padding behind a whole packet:")


def r_017_good_logins_keep_succeeding_while_nonsense_pours_in(world):
    address = world.server.ready["radius"][0]
    nas, seconds = Nas(address, RADIUS_SECRET, "127.0.0.1", patience=3), []
    with Flood(address, ["127.0.0.1", "127.0.0.2", "127.0.0.77"], 30_000) as flood:
        for _ in range(6):
            begun = time.monotonic()
            asked = nas.pap("jmueller", tries=3)
            same(asked.kind, "Access-Challenge")
            same(nas.pap("jmueller", world.jmueller.code(), state=asked.first("State"), tries=3).kind, "Access-Accept")
            seconds.append(time.monotonic() - begun)
    # On a machine that is busy otherwise it is the sender that falls short; the rate that was reached is told.
    assert flood.rate() > 10_000, f"only {flood.rate():.0f} packets/s were sent"
    print(f"# {flood.rate():.0f} packets/s of nonsense; logins took {sorted(round(each, 2) for each in seconds)} s", flush=True)
