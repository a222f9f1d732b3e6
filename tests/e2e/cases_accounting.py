"""Accounting: relayed or recorded, never believed without its signature, and never a way in."""

import wire
from cases import same
from clients import RADIUS_SECRET
from telephone import APPROVE
from telephone import DENY

START = 1


def account(session, secret=RADIUS_SECRET):
    attributes = [(wire.USER_NAME, b"alice"), (wire.ACCT_STATUS_TYPE, START.to_bytes(4, "big")), (wire.ACCT_SESSION_ID, session.encode()),
                  (wire.NAS_IDENTIFIER, b"by hand")]
    return wire.accounting(secret.encode(), attributes)


def door(world, source):
    return wire.Socket(world.server.ready["radius_accounting"][0], source, RADIUS_SECRET)


def accounting_is_relayed_to_the_upstream(world):
    for status in ("Start", "Interim-Update", "Stop"):
        same(world.relaying.account("alice", status, f"relayed-{status}").kind, "Accounting-Response", f"R-101, unsigned as it is, {status}:")
        assert f"relayed-{status}" in world.upstream.accounted(), status


def accounting_is_recorded_here(world):
    same(world.recording.account("alice", "Start", "recorded-1").kind, "Accounting-Response")
    assert "recorded-1" not in world.upstream.accounted(), "it went to the upstream"


def r_100_a_forged_request_is_silence_and_goes_nowhere(world):
    for source in ("127.0.1.1", "127.0.1.2"):
        with door(world, source) as nas:
            same(nas.ask(account("forged-1", "another secret"), 2), None)
            same(nas.ask(account(f"honest-{source}")).kind, "Accounting-Response", "the right secret:")
    with door(world, "127.0.1.88") as nas:
        same(nas.ask(account("forged-2"), 2), None, "an unknown client:")
    assert "forged" not in world.upstream.accounted()


def r_040_accounting_brings_proxy_state_back(world):
    with door(world, "127.0.1.1") as nas:
        asked = wire.accounting(RADIUS_SECRET.encode(), [(wire.ACCT_STATUS_TYPE, START.to_bytes(4, "big")), (wire.ACCT_SESSION_ID, b"s"),
                                                         (wire.PROXY_STATE, b"one"), (wire.PROXY_STATE, b"two")])
        reply = nas.ask(asked)
        same((reply.kind, reply.all(wire.PROXY_STATE)), ("Accounting-Response", [b"one", b"two"]))


def r_005_each_door_takes_its_own_kind_of_request(world):
    secret = RADIUS_SECRET.encode()
    with door(world, "127.0.1.1") as nas:
        same(nas.ask(wire.request(secret, [(wire.USER_NAME, b"bob"), (wire.USER_PASSWORD, b"Passw0rd!")]), 2), None, "a login at the accounting door:")
        status = nas.ask(wire.request(secret, [], code=wire.STATUS_SERVER))
        same(status.kind, "Accounting-Response", "R-102, Status-Server:")
    with wire.Socket(world.server.ready["radius"][0], "127.0.1.1", RADIUS_SECRET) as nas:
        same(nas.ask(account("at the wrong door"), 2), None, "accounting at the login door:")


def accounting_opens_nothing(world):
    world.phone.will("alice", DENY)
    same(world.relaying.account("alice", "Start", "open-1").kind, "Accounting-Response")
    same(world.recording.account("alice", "Start", "open-2").kind, "Accounting-Response")
    same(world.push.pap("alice").kind, "Access-Reject")
    world.phone.will("alice", APPROVE)


def r_100_what_the_upstream_does_not_take_is_not_acknowledged(world):
    world.upstream.stop()
    same(world.relaying.account("alice", "Start", "lost-1").kind, "silence")
    same(world.recording.account("alice", "Start", "kept-1").kind, "Accounting-Response", "what is recorded here:")
    world.upstream.start()
