"""The LDAP door in full: Active Directory, OpenLDAP and 389-ds behind it, real applications in front of it."""

from functools import cached_property

import clients
import peers_ldap
from peers import PASSWORD
from worlds import World


class LdapWorld(World):
    """Three directories, eight listeners, and applications that are there once a case needs them."""

    NAME, CONFIG = "ldap", "ldap.toml"
    PEOPLE = ("alice", "bob", "carol", "dora")

    def __init__(self, town):
        super().__init__(town)
        self.tree, self.ds = peers_ldap.Tree(self.folder / "tree", self.authority), peers_ldap.Directory389(self.folder / "389")
        self.parts += [self.tree, self.ds]

    def start(self):
        self.tree.start()
        self.ds.start()
        super().start()
        for directory, names in (("tree", self.tree.PEOPLE), ("ds", self.ds.PEOPLE)):
            for name in names:
                setattr(self, name, clients.Person(self.server, name, directory))

    def new_certificate(self):
        """Certificate and key of our TLS listeners, in place of those before."""
        return self.authority.issue("door", "IP:127.0.0.1")

    def values(self):
        tree, ds = self.tree, self.ds
        cert, key = self.new_certificate()
        return {"CERT": cert, "KEY": key, "TREE_TLS": tree.tls, "TREE_SIX": tree.six, "TREE_BASE": tree.BASE, "TREE_MANAGER": tree.MANAGER,
                "DS": ds.url, "DS_BASE": ds.BASE, "DS_MANAGER": ds.MANAGER}

    def find_doors(self):
        self.doors = dict(zip(("tree", "tls", "starttls", "six", "ds", "ad", "ad_tls", "service"), self.server.ready["ldap"], strict=True))
        plain = ("tree", "six", "ds", "ad", "service")
        self.plain, self.six, self.behind_ds, self.ad, self.service = (clients.Ldap(f"ldap://{self.doors[name]}") for name in plain)
        self.ldaps, self.ad_ldaps = (clients.Ldap(f"ldaps://{self.doors[name]}", self.authority) for name in ("tls", "ad_tls"))
        self.starttls = clients.Ldap(f"ldap://{self.doors['starttls']}", self.authority, starttls=True)

    def application(self, application):
        self.parts.append(application)
        application.start()
        return application

    @cached_property
    def apache(self):
        doors = {"AS_USER": self.doors["tree"], "BY_SERVICE": self.doors["service"]}
        return self.application(peers_ldap.Apache(self.folder / "apache", BASE=self.tree.BASE, SERVICE=self.tree.SERVICE, PASSWORD=PASSWORD, **doors))

    @cached_property
    def dovecot(self):
        way = f"auth_bind_userdn = uid=%u,ou=people,{self.tree.BASE}"
        return self.application(peers_ldap.Dovecot(self.folder / "dovecot", BASE=self.tree.BASE, DOOR=self.doors["tree"], WAY=way))

    @cached_property
    def searching_dovecot(self):
        way = f"dn = {self.tree.SERVICE}\ndnpass = {PASSWORD}\npass_filter = (uid=%u)"
        return self.application(peers_ldap.Dovecot(self.folder / "searching", BASE=self.tree.BASE, DOOR=self.doors["service"], WAY=way))

    @cached_property
    def postgres(self):
        host, port = self.doors["tree"].rsplit(":", 1)
        rule = f'ldap ldapserver={host} ldapport={port} ldapprefix="uid=" ldapsuffix=",ou=people,{self.tree.BASE}"'
        return self.application(peers_ldap.Postgres(self.folder / "postgres", self.tree.PEOPLE, rule))
