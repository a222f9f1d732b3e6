//! LDAP: one PDU out of a buffer, bounded, and the messages we understand.
