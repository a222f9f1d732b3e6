//! The RADIUS door.
