//! Tests of radius.
