//! The rules of the wire, by their numbers.
