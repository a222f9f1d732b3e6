//! Tests of duo.
