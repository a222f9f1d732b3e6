//! The real binary on free ports, ended when dropped.
