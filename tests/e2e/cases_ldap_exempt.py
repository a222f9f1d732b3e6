"""Applications that search by an account of their own before they bind as the person: the account is exempt, here and in no other way."""

import wire_ldap as wire
from cases import INVALID_CREDENTIALS
from cases import same
from cases_ldap import asks_for_both
from cases_ldap import mailbox
from cases_ldap import page
from cases_ldap_attacks import INSUFFICIENT
from cases_ldap_attacks import PASSWORD_MODIFY
from cases_ldap_attacks import is_nobody
from peers import PASSWORD
from wire_ldap import Line


def l_082_an_exempt_account_binds_by_its_password_alone(world):
    service, before = world.tree.SERVICE, world.phone.pushes("web")
    told = world.service.whoami(who=service, password=PASSWORD)
    same((told.code, told.text.strip()), (0, f"dn:{service}"))
    found = world.service.search(f"ou=people,{world.tree.BASE}", "(uid=ida)", "mail", who=service, password=PASSWORD)
    assert found.code == 0 and "mail: ida@tree.test" in found.text, found
    same(world.service.whoami(who=service, password="wrong").code, INVALID_CREDENTIALS, "wrong password:")
    same(world.phone.pushes("web"), before)


def l_076_l_082_it_is_exempt_by_identity_however_its_name_is_written(world):
    for name in ("web", f"UID=Web, OU=Services , {world.tree.BASE.upper()}", f"uid=web,ou=\\73ervices,{world.tree.BASE}"):
        same(world.service.whoami(who=name, password=PASSWORD).code, 0, name)


def l_082_it_is_exempt_at_this_listener_and_from_there_alone(world):
    same(world.plain.whoami(who=world.tree.SERVICE, password=PASSWORD).code, INVALID_CREDENTIALS, "at another listener:")
    with Line(world.doors["service"], source="127.0.0.2") as line:
        same(line.ask(wire.bind(1, world.tree.SERVICE, PASSWORD)).code, INVALID_CREDENTIALS, "from elsewhere:")
        is_nobody(line)


def l_066_l_082_an_exempt_account_changes_no_password(world):
    change = wire.element(0x30, wire.octets(PASSWORD, 0x81), wire.octets("An0ther-Pw!", 0x82))
    with Line(world.doors["service"]).bound(world.tree.SERVICE, PASSWORD) as line:
        same(line.ask(wire.extended(2, PASSWORD_MODIFY, change)).code, INSUFFICIENT)


def l_020_l_082_a_failed_bind_behind_an_exempt_one_leaves_nobody(world):
    with Line(world.doors["service"]).bound(world.tree.SERVICE, PASSWORD) as line:
        same(line.ask(wire.bind(2, world.tree.dn("leo"), "wrong")).code, INVALID_CREDENTIALS)
        is_nobody(line)


def apache_that_searches_by_a_service_asks_once(world):
    asks_for_both(world, world.leo, lambda password: page(f"{world.apache.url}/by-service/", "leo", password))


def dovecot_that_searches_by_a_service_asks_once(world):
    asks_for_both(world, world.maria, lambda password: mailbox(world.searching_dovecot, "maria", password))


def l_082_exemptions_are_listed_with_their_use(world):
    listed = world.server.json("exempt", "list")
    same([(each["listener"], each["name"]) for each in listed], [("service", world.tree.SERVICE)])
    assert listed[0]["uses"] > 3 and listed[0]["identity"], listed
