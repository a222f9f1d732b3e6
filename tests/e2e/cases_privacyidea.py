"""A real privacyIDEA behind us: codes of its tokens, texts that it sends, pushes that it takes, and its end in the middle of a login."""

from cases import same
from cases_upstream import Meanwhile
from peers import PASSWORD
from peers import until


def privacyidea_a_code_asked_for_lets_in_once(world):
    code = world.codes_of["alice"].code()
    asked = world.codes.pap("alice")
    same((asked.kind, asked.all("Reply-Message")), ("Access-Challenge", ['"Enter your code:"']))
    same(world.codes.answer(asked, "alice", code).kind, "Access-Accept")
    same(world.codes.answer(world.codes.pap("alice"), "alice", code).kind, "Access-Reject", "the same code again:")


def privacyidea_a_code_behind_the_password_lets_in_once(world):
    password = f"{PASSWORD},{world.codes_of['alice'].code()}"
    same(world.appending.pap("alice", password).kind, "Access-Accept")
    same(world.appending.pap("alice", password).kind, "Access-Reject", "the same code again:")
    same(world.appending.pap("alice").kind, "Access-Reject", "without a code:")


def privacyidea_a_wrong_code_is_refused_and_counted(world):
    before = world.alice.standing()["failures"]
    same(world.codes.answer(world.codes.pap("alice"), "alice", "000000").kind, "Access-Reject")
    same(world.alice.standing()["failures"], before + 1)
    same(world.codes.answer(world.codes.pap("alice"), "alice", world.codes_of["alice"].code()).kind, "Access-Accept", "the right one afterwards:")
    same(world.alice.standing()["failures"], 0)


def privacyidea_a_wrong_password_never_reaches_it(world):
    before = world.server.log.read_text().count("privacyIDEA")
    texts = world.pi.gateway.count(world.NUMBER)
    same(world.texts.pap("bob", "wrong").kind, "Access-Reject")
    same((world.server.log.read_text().count("privacyIDEA"), world.pi.gateway.count(world.NUMBER)), (before, texts))


def privacyidea_a_text_is_sent_once_and_its_code_lets_in_once(world):
    before = world.pi.gateway.count(world.NUMBER)
    asked = world.texts.pap("bob")
    same(asked.kind, "Access-Challenge")
    code = world.pi.gateway.code(world.NUMBER, before)
    same(world.texts.answer(asked, "bob", code).kind, "Access-Accept")
    same(world.pi.gateway.count(world.NUMBER) - before, 1)
    same(world.texts.answer(world.texts.pap("bob"), "bob", code).kind, "Access-Reject", "the same code again:")


def m_12_the_code_of_one_login_is_not_good_for_another(world):
    before = world.pi.gateway.count(world.NUMBER)
    world.texts.pap("bob")
    first = world.pi.gateway.code(world.NUMBER, before)
    second = world.texts.pap("bob")
    latest = world.pi.gateway.code(world.NUMBER, before + 1)
    if first != latest:  # once in a million they are the same
        same(world.texts.answer(second, "bob", first).kind, "Access-Reject", "the code of the login before:")


def privacyidea_a_pin_of_theirs_stands_before_the_code(world):
    def typed(text):
        return world.codes.answer(world.codes.pap("carol"), "carol", text).kind
    same(typed(world.PIN + world.codes_of["carol"].code()), "Access-Accept")
    same(typed(world.codes_of["carol"].code()), "Access-Reject", "without the PIN:")
    same(typed(world.PIN), "Access-Reject", "without the code, though that triggers a challenge there:")


def privacyidea_a_push_is_waited_for_and_lets_in(world):
    waiting = Meanwhile(lambda: world.pushes.pap("dora"))
    assert world.phone_of["dora"].answer()
    same(waiting.result().kind, "Access-Accept")


def privacyidea_a_push_that_is_declined_does_not(world):
    waiting = Meanwhile(lambda: world.pushes.pap("dora"))
    assert world.phone_of["dora"].answer(approve=False)
    same(waiting.result().kind, "Access-Reject")


def privacyidea_who_has_no_token_of_the_method_is_refused(world):
    same(world.texts.pap("alice").kind, "Access-Reject")
    same(world.pushes.pap("alice").kind, "Access-Reject")
    same(world.codes.answer(world.codes.pap("frida"), "frida", "123456").kind, "Access-Reject", "who is unknown there:")


def m_14_killed_in_the_middle_nobody_gets_in_and_it_comes_back_by_itself(world):
    code = world.codes_of["alice"].code()
    closed, opened = world.codes.pap("alice"), world.outage.pap("alice")
    same((closed.kind, opened.kind), ("Access-Challenge", "Access-Challenge"))
    world.pi.kill()
    try:
        same(world.codes.answer(closed, "alice", code).kind, "Access-Reject")
        same(world.outage.answer(opened, "alice", code).kind, "Access-Reject", "one lost answer is no outage:")
        same(world.texts.pap("bob").kind, "Access-Reject")
    finally:
        world.pi.start()
    reply = None
    for _ in range(20):
        reply = world.codes.answer(world.codes.pap("alice"), "alice", world.codes_of["alice"].code())
        if reply.kind == "Access-Accept":
            break
    same(reply.kind, "Access-Accept", "after it came back:")
    same(world.texts.pap("bob").kind, "Access-Challenge", "and texts go out again:")


def m_14_killed_while_a_phone_is_waited_for_nobody_gets_in(world):
    waiting = Meanwhile(lambda: world.pushes.pap("dora"))
    until("the question on the phone", world.phone_of["dora"].questions, 15)
    world.pi.kill()
    try:
        same(waiting.result().kind, "Access-Reject")
    finally:
        world.pi.start()


def privacyidea_nothing_secret_is_in_the_log(world):
    log = world.server.log.read_text()
    codes = [text.rsplit(" ", 1)[1] for text in world.pi.gateway.texts[world.NUMBER]]
    assert len(codes) > 3, codes
    for secret in (PASSWORD, *codes, *world.secrets):
        assert secret not in log, "a secret stands in the log"
    assert "eyJ" not in log, "a session of privacyIDEA stands in the log"
