//! Tests of ldap.
