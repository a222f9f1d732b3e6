"""What people are asked and how, and what a policy adds to a reply."""

import re
import time

import wire
from cases import same
from clients import RADIUS_SECRET
from cases_upstream import Meanwhile
from peers import PASSWORD
from telephone import APPROVE
from telephone import DENY
from telephone import WAIT

NEW_PASSWORD = "N3w-Passw0rd!"


def press_enter(world, nas, asked, name):
    """The answer of somebody who types nothing: sixteen hidden NULs, which radclient does not send."""
    state = bytes.fromhex(asked.first("State")[2:])
    packet = wire.request(RADIUS_SECRET.encode(), [(wire.USER_NAME, name.encode()), (wire.USER_PASSWORD, b""), (wire.STATE, state), (wire.NAS_IDENTIFIER, b"e2e"),
                                                   (31, b"198.51.100.7")])
    with wire.Socket(world.server.ready["radius"][0], nas.source, RADIUS_SECRET) as door:
        return door.ask(packet, 15)


def menu_offers_the_methods_and_takes_a_number(world):
    before = world.phone.pushes("alice")
    asked = world.menu.pap("alice")
    same(asked.kind, "Access-Challenge")
    text = " ".join(asked.all("Reply-Message"))
    assert "1" in text and "code" in text.lower(), text
    same(world.phone.pushes("alice") - before, 0, "before a choice:")
    same(world.menu.answer(asked, "alice", "1").kind, "Access-Accept")
    same(world.phone.pushes("alice") - before, 1)


def menu_takes_a_code_at_once(world):
    before = world.phone.pushes("alice")
    same(world.menu.answer(world.menu.pap("alice"), "alice", world.alice.code()).kind, "Access-Accept")
    same(world.phone.pushes("alice") - before, 0)


def menu_takes_nothing_else(world):
    before = world.phone.pushes("alice")
    for typed in ("9", "000000", "one"):
        same(world.menu.answer(world.menu.pap("alice"), "alice", typed).kind, "Access-Reject", repr(typed))
    same(world.phone.pushes("alice") - before, 0)


def enter_after_the_approval_lets_in(world):
    world.phone.will("bob", APPROVE)
    before = world.phone.pushes("bob")
    asked = world.enter.pap("bob")
    same(asked.kind, "Access-Challenge")
    same(press_enter(world, world.enter, asked, "bob").kind, "Access-Accept")
    same(world.phone.pushes("bob") - before, 1)


def enter_after_a_denial_does_not(world):
    world.phone.will("bob", DENY)
    asked = world.enter.pap("bob")
    same(asked.kind, "Access-Challenge")
    same(press_enter(world, world.enter, asked, "bob").kind, "Access-Reject")
    world.phone.will("bob", APPROVE)


def enter_before_the_approval_waits_or_asks_again_and_never_rings_twice(world):
    world.phone.will("bob", WAIT)
    before = world.phone.pushes("bob")
    asked = world.enter.pap("bob")
    same(asked.kind, "Access-Challenge")
    pressed = Meanwhile(lambda: press_enter(world, world.enter, asked, "bob"))
    world.phone.rings("bob", before)
    world.phone.answer("bob", APPROVE)
    reply = pressed.result()
    if reply.kind == "Access-Challenge":
        reply = press_enter(world, world.enter, ByHand(reply), "bob")
    same((reply.kind, world.phone.pushes("bob") - before), ("Access-Accept", 1))
    world.phone.will("bob", APPROVE)


class ByHand:
    """The State of a packet read by hand, as radclient would show it."""

    def __init__(self, packet):
        self.state = f"0x{packet.first(wire.STATE).hex()}"

    def first(self, _):
        return self.state


def late_approval_counts_for_the_next_try_once(world):
    world.phone.will("carol", WAIT)
    before, begun = world.phone.pushes("carol"), time.monotonic()
    same(world.impatient.pap("carol").kind, "Access-Reject")
    assert time.monotonic() - begun < 5, "an answer after the NAS had given up"
    world.phone.answer("carol", APPROVE)
    same((world.impatient.pap("carol").kind, world.phone.pushes("carol") - before), ("Access-Accept", 1), "the next try:")
    same((world.impatient.pap("carol").kind, world.phone.pushes("carol") - before), ("Access-Reject", 2), "and the one after it:")
    world.phone.answer("carol", DENY)
    world.phone.will("carol", APPROVE)


def late_denial_opens_nothing(world):
    world.phone.will("dora", WAIT)
    same(world.impatient.pap("dora").kind, "Access-Reject")
    world.phone.answer("dora", DENY)
    same(world.impatient.pap("dora").kind, "Access-Reject")
    world.phone.will("dora", APPROVE)


def late_approval_is_for_the_same_password_alone(world):
    world.phone.will("frida", WAIT)
    same(world.impatient.pap("frida").kind, "Access-Reject")
    world.phone.answer("frida", APPROVE)
    same(world.impatient.pap("frida", "wrong").kind, "Access-Reject")
    world.phone.will("frida", APPROVE)


def groups_give_reply_attributes_to_members_alone(world):
    alice, bob = world.groups.pap("alice"), world.groups.pap("bob")
    same((alice.kind, alice.all("Filter-Id")), ("Access-Accept", ['"staff"']))
    same((bob.kind, bob.all("Filter-Id")), ("Access-Accept", []))


def waived_first_factor_asks_the_person_alone(world):
    before = world.phone.pushes("dora")
    same(world.waived.pap("dora", "whatever").kind, "Access-Accept")
    world.phone.will("dora", DENY)
    same(world.waived.pap("EXAMPLE\\dora", PASSWORD).kind, "Access-Reject")
    same(world.phone.pushes("dora") - before, 2)
    world.phone.will("dora", APPROVE)


def nas_identifier_tells_clients_of_one_address_apart(world):
    same(world.nat.pap("alice", nas="branch").kind, "Access-Accept")
    impatient = world.radius(6, patience=2)
    same(impatient.pap("alice", nas="elsewhere").kind, "silence")


def profile_of_a_fortigate_logs_in_with_a_challenge(world):
    asked = world.fortigate.pap("alice")
    same(asked.kind, "Access-Challenge")
    same(world.fortigate.answer(asked, "alice", world.alice.code()).kind, "Access-Accept")


def renewal(world, name, *, code=None, new=NEW_PASSWORD, again=None, old=PASSWORD):
    """Goes through whatever is asked, in whatever order: codes are typed where a code is asked for, else the new password. The last reply."""
    reply, typed = world.fortigate.pap(name, old), 0
    for _ in range(12):
        if reply.kind != "Access-Challenge":
            break
        text = " ".join(reply.all("Reply-Message")).lower()
        if re.search(r"\bcode\b", text):
            answer = code or getattr(world, name).code()
        else:
            answer, typed = (new if typed % 2 == 0 or again is None else again), typed + 1
        reply = world.fortigate.answer(reply, name, answer)
    return reply


def r_095_a_password_is_not_changed_without_the_second_factor(world):
    same(renewal(world, "mustnew", code="000000").kind, "Access-Reject")
    same(world.fortigate.pap("mustnew", NEW_PASSWORD).kind, "Access-Reject", "the new password:")


def dialogue_two_different_new_passwords_change_nothing(world):
    same(renewal(world, "mustnew", again="An0ther-Passw0rd!").kind, "Access-Reject")
    same(world.fortigate.pap("mustnew", NEW_PASSWORD).kind, "Access-Reject")


def dialogue_a_password_that_must_change_and_one_that_has_expired_are_changed(world):
    for name in ("mustnew", "oldpw"):
        same(renewal(world, name).kind, "Access-Accept", name)
        same(world.fortigate.pap(name, PASSWORD).kind, "Access-Reject", f"{name}, the old one:")
        asked = world.fortigate.pap(name, NEW_PASSWORD)
        same(asked.kind, "Access-Challenge", f"{name}, the new one:")
        same(world.fortigate.answer(asked, name, getattr(world, name).code()).kind, "Access-Accept", name)


def dialogue_nothing_typed_is_in_the_log(world):
    log = world.server.log.read_text()
    for secret in (PASSWORD, NEW_PASSWORD, *world.secrets):
        assert secret not in log, "a secret stands in the log"
