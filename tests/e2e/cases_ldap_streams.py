"""What passes once somebody is bound: every operation byte for byte, much of it, and new passwords."""

import base64
import hashlib
import time

import wire_ldap as wire
from cases import INVALID_CREDENTIALS
from cases import same
from peers import PASSWORD
from peers_ldap import forget_peak
from peers_ldap import memory
from telephone import APPROVE
from telephone import DENY
from wire_ldap import Line

NEW_PASSWORD = "N3w-Passw0rd!"
ENTRY, REFERENCE, INTERMEDIATE = 0x64, 0x73, 0x79
MODIFY, ADD, DELETE, RENAME, COMPARE = 0x66, 0x68, 0x4a, 0x6c, 0x6e
PAGED, SORTED, SYNC = "1.2.840.113556.1.4.319", "1.2.840.113556.1.4.473", "1.3.6.1.4.1.4203.1.9.1.1"
REFRESH_AND_PERSIST = 3
GROWTH_MAX = 32 << 20
STALL_S = 1.5


def change_of(dn, attribute, value):
    values = wire.element(0x31, wire.octets(value))
    replaced = wire.element(0x30, wire.integer(2, 0x0a), wire.element(0x30, wire.octets(attribute), values))
    return wire.element(MODIFY, wire.octets(dn), wire.element(0x30, replaced))


def new_device(dn, name):
    attributes = (wire.element(0x30, wire.octets(key), wire.element(0x31, wire.octets(value))) for key, value in (("objectClass", "device"), ("cn", name)))
    return wire.element(ADD, wire.octets(dn), wire.element(0x30, *attributes))


def compare(dn, attribute, value):
    return wire.element(COMPARE, wire.octets(dn), wire.element(0x30, wire.octets(attribute), wire.octets(value)))


def rename(dn, name):
    return wire.element(RENAME, wire.octets(dn), wire.octets(name), wire.element(0x01, b"\xff"))


def with_control(oid, value, critical=b"\xff"):
    return wire.element(0xa0, wire.element(0x30, wire.octets(oid), wire.element(0x01, critical), wire.octets(value)))


def operations(tree):
    """One request of every kind, in an order that leaves the tree as it was."""
    base, leo, ida = tree.BASE, tree.dn("leo"), tree.dn("ida")
    first, second = (f"cn={name},ou=scratch,{base}" for name in ("first", "second"))
    page = with_control(PAGED, wire.element(0x30, wire.integer(40), wire.octets("")))
    backwards = with_control(SORTED, wire.element(0x30, wire.element(0x30, wire.octets("serialNumber"), wire.element(0x81, b"\xff"))))
    few = wire.element(0xa4, wire.octets("cn"), wire.element(0x30, wire.octets("entry 00", 0x80)))
    written = (change_of(leo, "telephoneNumber", "200"), compare(leo, "telephoneNumber", "200"), change_of(leo, "telephoneNumber", "100"),
               change_of(ida, "telephoneNumber", "666"), change_of(leo, "noSuchAttribute", "x"), new_device(first, "first"), new_device(first, "first"),
               rename(first, "cn=second"), wire.octets(first, DELETE), wire.octets(second, DELETE))
    searches = ((base, 1, b""), (f"ou=many,{base}", 2, page), (f"ou=many,{base}", 2, backwards), (f"ou=elsewhere,{base}", 0, b""), ("cn=nobody", 0, b""))
    asked = [wire.message(number, operation) for number, operation in enumerate(written, 2)]
    asked += [wire.search(number, under, scope, few if under.startswith("ou=many") else wire.octets("objectClass", 0x87), controls=controls)
              for number, (under, scope, controls) in enumerate(searches, 2 + len(written))]
    return [*asked, wire.extended(100, "1.2.3.4.5"), wire.extended(101, "1.3.6.1.1.8", "nonsense")]


def answers(line, request, last=lambda tag: tag not in (ENTRY, REFERENCE, INTERMEDIATE)):
    """All that a request gets, as it came."""
    line.send(request)
    frames = []
    while True:
        frame = line.frame()
        assert frame, "closed"
        frames.append(frame)
        if last(wire.parsed(frame).tag):
            return frames


def through_us(world, person, door="tree"):
    return Line(world.doors[door]).bound(world.tree.dn(person.name), f"{PASSWORD},{person.code()}")


def straight_to(tree, name):
    return Line(tree.clear).bound(tree.dn(name), PASSWORD)


def every_operation_is_answered_byte_for_byte_as_the_directory_does(world):
    requests = operations(world.tree)
    with straight_to(world.tree, "leo") as line:
        wanted = [answers(line, request) for request in requests]
    with through_us(world, world.leo) as line:
        for request, frames in zip(requests, wanted, strict=True):
            same(answers(line, request), frames, f"{request[:60]!r}:")
    missing = {ENTRY, REFERENCE, 0x65, 0x67, 0x69, 0x6b, 0x6d, 0x6f, 0x78} - {wire.parsed(frame).tag for frames in wanted for frame in frames}
    assert not missing, f"never answered: {sorted(map(hex, missing))}"


def l_022_a_search_that_never_ends_passes_until_it_is_abandoned(world):
    under = f"ou=scratch,{world.tree.BASE}"
    persist = wire.search(2, under, controls=with_control(SYNC, wire.element(0x30, wire.integer(REFRESH_AND_PERSIST, 0x0a))))
    with straight_to(world.tree, "ida") as watching, straight_to(world.tree, "ida") as writing, through_us(world, world.ida) as ours:
        wanted, heard = (answers(line, persist, last=lambda tag: tag == INTERMEDIATE) for line in (watching, ours))
        same(heard, wanted)
        same(writing.ask(wire.message(2, new_device(f"cn=seen,{under}", "seen"))).code, 0)
        same(ours.hear().tag, ENTRY, "what is added while it goes on:")
        ours.send(wire.abandon(3, 2))
        same(ours.ask(wire.extended(4, wire.WHO_AM_I)).number, 4)
        same(writing.ask(wire.message(3, wire.octets(f"cn=seen,{under}", DELETE))).code, 0)
        assert ours.is_silent(0.5)


def l_089_a_large_result_passes_as_it_is_and_does_not_grow_us(world):
    asked, pid = wire.search(2, f"ou=large,{world.tree.BASE}", scope=1), world.server.daemon.process.pid
    with straight_to(world.tree, "jakob") as line:
        line.send(asked)
        wanted = drained(line)
    with through_us(world, world.jakob, "six") as line:
        forget_peak(pid)
        before, begun = memory(pid)[0], time.monotonic()
        line.send(asked)
        time.sleep(STALL_S)  # a reader that does not read
        same(drained(line), wanted)
        seconds, growth = time.monotonic() - begun - STALL_S, memory(pid)[1] - before
    size, _, count = wanted
    print(f"# {size >> 20} MiB in {count} entries, {seconds:.1f} s; {before >> 20} MiB held before and {growth / (1 << 20):.1f} MiB more at most", flush=True)
    same(count, world.tree.LARGE)
    assert size > 100_000_000, size
    assert growth < GROWTH_MAX, f"grew by {growth} bytes"


def drained(line):
    """Bytes, digest and entries of a search's answers."""
    size, digest, count = 0, hashlib.sha256(), 0
    while True:
        frame = line.frame()
        assert frame, "closed"
        size, count = size + len(frame), count + 1
        digest.update(frame)
        if len(frame) < 1_000 and wire.parsed(frame).tag == wire.DONE:
            return size, digest.hexdigest(), count - 1


# New passwords

def l_066_a_person_changes_the_password_at_openldap(world):
    maria = world.tree.dn("maria")
    def change(old, new):
        return world.ldaps.tool("ldappasswd", "-a", old, "-s", new, who=maria, password=old).code
    world.phone.will("maria", DENY)
    same(change(PASSWORD, NEW_PASSWORD), INVALID_CREDENTIALS, "denied:")
    world.phone.will("maria", APPROVE)
    same(change(PASSWORD, NEW_PASSWORD), 0)
    try:
        same(world.ldaps.whoami(who=maria, password=PASSWORD).code, INVALID_CREDENTIALS, "the old one:")
        same(world.ldaps.whoami(who=maria, password=NEW_PASSWORD).code, 0, "the new one:")
    finally:
        same(change(NEW_PASSWORD, PASSWORD), 0, "back:")


def l_066_a_person_changes_the_password_at_389_ds(world):
    paul = world.ds.dn("paul")
    def change(old, new):
        changed = f"dn: {paul}\nchangetype: modify\nreplace: userPassword\nuserPassword: {new}\n"
        return world.behind_ds.tool("ldapmodify", who=paul, password=old, typed=changed).code
    same(change(PASSWORD, NEW_PASSWORD), 0)
    same(world.behind_ds.whoami(who=paul, password=PASSWORD).code, INVALID_CREDENTIALS, "the old one:")
    same(change(NEW_PASSWORD, PASSWORD), 0, "back:")


def l_066_a_person_changes_the_password_at_active_directory(world):
    dn = f"CN=Dora Dent,OU=Staff,{world.directory.BASE}"
    def change(old, new):
        before, after = (base64.b64encode(f'"{each}"'.encode("utf-16-le")).decode() for each in (old, new))
        changed = f"dn: {dn}\nchangetype: modify\ndelete: unicodePwd\nunicodePwd:: {before}\n-\nadd: unicodePwd\nunicodePwd:: {after}\n"
        return world.ad_ldaps.tool("ldapmodify", who="dora@example.test", password=old, typed=changed).code
    same(change(PASSWORD, NEW_PASSWORD), 0)
    try:
        same(world.ad_ldaps.whoami(who=dn, password=NEW_PASSWORD).code, 0, "the new one:")
        same(world.ad_ldaps.whoami(who=dn, password=PASSWORD).code, INVALID_CREDENTIALS, "the old one:")
    finally:
        same(change(NEW_PASSWORD, PASSWORD), 0, "back:")
