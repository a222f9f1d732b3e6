//! The binary: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    // One TLS provider for the whole process, chosen before anything builds a configuration. It fails only where one is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    vestibule::cli::run()
}
