//! Lab directory: a small read-only LDAP server with a few people, as Active Directory would answer.
