//! RADIUS packets (RFC 2865).
