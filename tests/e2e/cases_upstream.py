"""FreeRADIUS as the first factor, the telephone or a code as the second: what comes through, what does not, and how often who is asked."""

import threading
import time

import peers
import wire
from cases import same
from clients import RADIUS_SECRET
from clients_radius import Wiretap
from mschap import Handshake
from peers import PASSWORD
from telephone import APPROVE
from telephone import DENY
from telephone import WAIT

ALLOWED_IN_A_REJECT = {"Reply-Message", "Message-Authenticator", "Proxy-State", "MS-CHAP-Error", "EAP-Message", "Error-Cause"}
GATEWAY = (("Called-Station-Id", '"UserAuthType:PW"'), ("Calling-Station-Id", '"UserAuthType:PW"'), ("NAS-Identifier", '"rdg.example.test"'),
           ("NAS-Port-Type", "Virtual"), ("MS-RAS-Vendor", "311"), ("MS-Network-Access-Server-Type", "Terminal-Server-Gateway"),
           ("Message-Authenticator", "0x00"))


class Meanwhile:
    """Something a client does while the case does something else; `result` waits for it."""

    def __init__(self, work):
        self.value, self.error = None, None
        self.thread = threading.Thread(target=self.run, args=(work,), daemon=True)
        self.thread.start()

    def run(self, work):
        try:
            self.value = work()
        except Exception as error:  # told to whoever asks for the result
            self.error = error

    def result(self, seconds=60):
        self.thread.join(seconds)
        assert not self.thread.is_alive(), f"not done within {seconds} s"
        if self.error:
            raise self.error
        return self.value


def allowed_and_denied(world, name, ask, *args):
    """One login that is approved and one that is not; each asks the person once. Replies to both."""
    replies = []
    for manner, kind in ((APPROVE, "Access-Accept"), (DENY, "Access-Reject")):
        world.phone.will(name, manner)
        before = world.phone.pushes(name)
        reply = ask(*args)
        same((reply.kind, world.phone.pushes(name) - before), (kind, 1), f"{manner}:")
        replies.append(reply)
    world.phone.will(name, APPROVE)
    same({key for key, _ in replies[1].pairs()} - ALLOWED_IN_A_REJECT, set(), "R-071, in the Reject:")
    return replies


def upstream_pap_allowed_and_denied_by_the_person(world):
    allowed_and_denied(world, "bob", world.push.pap, "bob")


def upstream_chap_allowed_and_denied_by_the_person(world):
    allowed_and_denied(world, "bob", world.push.chap, "bob")


def upstream_mschapv2_allowed_and_denied_by_the_person(world):
    _, denied = allowed_and_denied(world, "bob", lambda: world.push.mschap(Handshake("bob", PASSWORD)))
    same([key for key, _ in denied.pairs() if "MPPE" in key], [])


def upstream_a_wrong_password_rings_no_telephone(world):
    before = world.phone.pushes("bob")
    for heard in (world.push.pap("bob", "wrong"), world.push.chap("bob", "wrong"), world.push.mschap(Handshake("bob", "wrong"))):
        same((heard.kind, {key for key, _ in heard.pairs()} - ALLOWED_IN_A_REJECT), ("Access-Reject", set()), "R-071, though the upstream's own carries more:")
    assert heard.first("MS-CHAP-Error"), "the upstream's MS-CHAP-Error is lost"
    same(world.phone.pushes("bob") - before, 0)


def r_065_an_empty_password_does_not_reach_the_upstream(world):
    before = len(world.upstream.requests("bob"))
    with wire.Socket(world.server.ready["radius"][0], "127.0.1.1", RADIUS_SECRET) as nas:
        asked = wire.request(RADIUS_SECRET.encode(), [(wire.USER_NAME, b"bob"), (wire.USER_PASSWORD, b"")])
        same(nas.ask(asked).kind, "Access-Reject")
    same(len(world.upstream.requests("bob")) - before, 0)


def upstream_somebody_not_enrolled_is_refused(world):
    same(world.straight.pap("erik").kind, "Access-Accept", "the upstream alone:")
    same(world.push.pap("erik").kind, "Access-Reject")


def r_073_attributes_are_the_same_with_push_with_code_with_a_bypass_and_remembered(world):
    wanted = world.straight.pap("alice")
    assert len(wanted.lasting()) >= 15, wanted
    world.phone.will("alice", APPROVE)
    pushed = world.push.pap("alice")
    same((pushed.kind, pushed.lasting()), (wanted.kind, wanted.lasting()), "push:")
    asked = world.code.pap("alice")
    same((asked.kind, asked.first("Class")), ("Access-Challenge", None), "nothing of the Accept goes out before the code:")
    coded = world.code.answer(asked, "alice", world.alice.code())
    same((coded.kind, coded.lasting()), (wanted.kind, wanted.lasting()), "code:")
    world.server.command("bypass", "grant", "alice", "--for", "5m")
    passed = world.code.pap("alice")
    same((passed.kind, passed.lasting()), (wanted.kind, wanted.lasting()), "bypass:")
    remembering, before = world.radius(6), world.phone.pushes("alice")
    for told in ("asked:", "remembered:"):
        heard = remembering.pap("alice")
        same((heard.kind, heard.lasting()), (wanted.kind, wanted.lasting()), told)
    same(world.phone.pushes("alice") - before, 1)


def r_073_the_order_of_attributes_of_one_type_is_kept(world):
    wanted, heard = world.straight.pap("alice"), world.push.pap("alice")
    for name in ("Class", "Cisco-AVPair"):
        same((len(heard.all(name)), heard.all(name)), (2, wanted.all(name)))


def r_073_mppe_keys_and_success_are_those_of_the_password(world):
    for name in ("alice", "EXAMPLE\\alice"):
        handshake = Handshake(name, PASSWORD)
        heard = world.push.mschap(handshake)
        same(heard.kind, "Access-Accept")
        keys = [f"0x{key.hex()}" for key in handshake.keys()]
        same([heard.first("MS-MPPE-Send-Key"), heard.first("MS-MPPE-Recv-Key")], keys)
        same(heard.first("MS-CHAP2-Success"), f"0x{handshake.success().hex()}")


def r_073_keys_are_encrypted_anew_with_salts_of_their_own(world):
    handshake = Handshake("alice", PASSWORD)
    attributes = [(wire.USER_NAME, b"alice"), wire.vendor_specific(311, 11, handshake.authenticator), wire.vendor_specific(311, 25, handshake.response())]
    asked = wire.request(RADIUS_SECRET.encode(), attributes)
    with Wiretap(world.folder / "behind.pcap", 1812) as tap, wire.Socket(world.server.ready["radius"][0], "127.0.1.1", RADIUS_SECRET) as nas:
        reply = nas.ask(asked, 15)
        same(reply.kind, "Access-Accept")
        peers.until("the upstream's Accept", lambda: any(ours and packet.code == 2 for _, ours, packet in tap.packets()), 10)
        behind = [packet for _, ours, packet in tap.packets() if ours and packet.code == 2][-1]
    found = [reply.vendor(wire.MICROSOFT, kind)[0] for kind in (wire.MPPE_SEND, wire.MPPE_RECV)]
    opened = [wire.opened(value, RADIUS_SECRET.encode(), asked[4:20]) for value in found]
    same([key for key, _ in opened], list(handshake.keys()))
    salts = [salt for _, salt in opened] + [value[:2] for value in reply_salts(reply)]
    assert all(salt[0] & 0x80 for salt in salts), salts
    same(len(set(salts)), len(salts), "each salt once in a packet (R-096):")
    for kind, value in zip((wire.MPPE_SEND, wire.MPPE_RECV), found):
        assert value not in behind.vendor(wire.MICROSOFT, kind), "passed on as it was"


def reply_salts(reply):
    """Tunnel-Password: a tag, then salt and text (RFC 2868 §3.5)."""
    return [value[1:] for value in reply.all(69)]


def r_052_retransmissions_make_one_push_and_one_upstream_request(world):
    world.phone.will("carol", WAIT)
    pushes, requests = world.phone.pushes("carol"), len(world.upstream.requests("carol"))
    nas = world.radius(1, patience=2)
    login = Meanwhile(lambda: nas.pap("carol", tries=5))
    with Wiretap(world.folder / "again.pcap", world.port) as tap:
        world.phone.rings("carol", pushes)
        peers.until("a retransmission", lambda: any(not ours for _, ours, _ in tap.packets()), 10)
    world.phone.answer("carol", APPROVE)
    same(login.result().kind, "Access-Accept")
    same((world.phone.pushes("carol") - pushes, len(world.upstream.requests("carol")) - requests), (1, 1), "pushes and upstream requests:")
    world.phone.will("carol", APPROVE)


def r_055_the_same_login_from_a_new_port_joins_the_push_that_is_out(world):
    world.phone.will("carol", WAIT)
    pushes = world.phone.pushes("carol")
    first = Meanwhile(lambda: world.push.pap("carol"))
    world.phone.rings("carol", pushes)
    with Wiretap(world.folder / "joined.pcap", world.port) as tap:
        second = Meanwhile(lambda: world.push.pap("carol"))
        peers.until("the second request", lambda: any(not ours for _, ours, _ in tap.packets()), 10)
        time.sleep(1)  # time to do what it must not: ring again
    world.phone.answer("carol", APPROVE)
    same((second.result().kind, world.phone.pushes("carol") - pushes), ("Access-Accept", 1))
    assert first.result().kind in ("Access-Accept", "silence"), "the latest packet is answered, the one before it perhaps"
    world.phone.will("carol", APPROVE)


def upstream_challenge_of_two_rounds_and_then_our_own(world):
    asked = world.code.pap("chatty")
    same((asked.kind, asked.first("Reply-Message"), asked.first("Prompt"), asked.first("Session-Timeout")), ("Access-Challenge", '"Which colour?"', "Echo", "77"))
    same(len(asked.all("State")), 1, "R-042:")
    asked = world.code.answer(asked, "chatty", "blue")
    same((asked.kind, asked.first("Reply-Message")), ("Access-Challenge", '"Which number?"'))
    asked = world.code.answer(asked, "chatty", "seven")
    same(asked.kind, "Access-Challenge")
    assert "Enter your code:" in asked.first("Reply-Message"), asked
    heard = world.code.answer(asked, "chatty", world.chatty.code())
    same((heard.kind, heard.first("Filter-Id"), heard.first("Class")), ("Access-Accept", '"chatty-acl"', "0x63686174"))


def upstream_challenge_answered_wrongly_is_refused_and_a_state_is_good_once(world):
    asked = world.code.pap("chatty")
    same(world.code.answer(asked, "chatty", "red").kind, "Access-Reject")
    same(world.code.answer(asked, "chatty", "blue").kind, "Access-Reject", "R-044, the State again:")
    same(world.push.answer(world.code.pap("chatty"), "chatty", "blue").kind, "Access-Reject", "R-043, the State of another client:")


def upstream_challenge_then_a_push(world):
    before = world.phone.pushes("chatty")
    asked = world.push.pap("chatty")
    asked = world.push.answer(asked, "chatty", "blue")
    same(world.phone.pushes("chatty") - before, 0, "before the upstream has said yes:")
    same(world.push.answer(asked, "chatty", "seven").kind, "Access-Accept")
    same(world.phone.pushes("chatty") - before, 1)


def upstream_a_slow_server_is_asked_once(world):
    before = len(world.upstream.requests("slow"))
    heard = world.push.pap("slow")
    same((heard.kind, heard.first("Filter-Id")), ("Access-Accept", '"slow-acl"'))
    same(len(world.upstream.requests("slow")) - before, 1)


def r_121_a_dead_and_a_silent_server_are_passed_over(world):
    limping = world.radius(4, patience=20)
    same(limping.pap("bob").kind, "Access-Accept", "the first login:")
    heard = world.silent.count()
    same([limping.pap("bob").kind for _ in range(3)], ["Access-Accept"] * 3)
    assert heard >= 1, "the silent server was never asked"


def upstream_a_gateway_without_credential_is_asked_for_and_keeps_its_attributes(world):
    who = ("User-Name", '"EXAMPLE\\\\alice"')
    wanted = world.straight.send(who, *GATEWAY)
    same((wanted.kind, wanted.first("MS-Quarantine-State")), ("Access-Accept", "Full-Access"))
    accepted, _ = allowed_and_denied(world, "alice", world.gateway.send, who, *GATEWAY)
    same(accepted.lasting(), wanted.lasting())


def upstream_a_gateway_hears_the_upstreams_no_and_nobody_is_rung(world):
    before = world.phone.pushes("dora")
    same(world.gateway.send(("User-Name", '"EXAMPLE\\\\dora"'), *GATEWAY).kind, "Access-Reject")
    same(world.phone.pushes("dora") - before, 0)


def r_064_without_credential_only_where_the_client_may(world):
    name = "EXAMPLE\\alice"
    pushes, requests = world.phone.pushes("alice"), len(world.upstream.requests(name))
    same(world.push.send(("User-Name", '"EXAMPLE\\\\alice"'), *GATEWAY).kind, "Access-Reject")
    same((world.phone.pushes("alice") - pushes, len(world.upstream.requests(name)) - requests), (0, 0))


def r_039_what_goes_upstream_is_signed(world):
    world.push.pap("bob")
    signed = [line.rsplit("signed=", 1)[1].split()[0] for line in world.upstream.requests("bob")]
    same([mark for mark in signed if mark == "no"], [])


def upstream_a_vpn_logs_in_with_a_challenge(world):
    got_in, shown = world.vpn.log_in("frida", PASSWORD, world.frida.code())
    assert got_in, shown
    assert "Enter your code:" in shown, shown
    got_in, shown = world.vpn.log_in("frida", PASSWORD, "000000")
    assert not got_in, "a wrong code opened the VPN"


def upstream_that_says_nothing_is_silence_and_the_next_login_works(world):
    same(world.radius(1, patience=8).pap("mute").kind, "silence")
    peers.until("a login afterwards", lambda: world.push.pap("bob").kind == "Access-Accept", 60)


def upstream_away_is_silence_and_it_comes_back_by_itself(world):
    world.upstream.stop()
    same(world.radius(1, patience=8).pap("bob").kind, "silence")
    world.upstream.start()
    peers.until("a login after it came back", lambda: world.push.pap("bob").kind == "Access-Accept", 60)


def upstream_nothing_secret_is_in_the_log(world):
    log = world.server.log.read_text().lower()
    for secret in (PASSWORD, *world.secrets):
        assert secret.lower() not in log, "a secret stands in the log"


def check_asks_the_servers_behind_by_status_server(world):
    found = world.server.findings("upstream")
    assert ("ok", "answers Status-Server") in found and not any(outcome == "failed" for outcome, _ in found), found
