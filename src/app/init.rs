//! The set-up: what a person or a file has answered becomes a configuration that was checked and tried, with its secrets in their places.
//!
//! Nothing is written before all of it is known to work. A configuration that init has not written, or that somebody has changed since, is not written over.

mod draft;
mod ground;
pub mod machine;
mod present;
pub mod service;
mod text;
mod write;

pub use draft::Draft;
pub use draft::Nas;
pub use draft::Part;
pub use draft::Setting;
pub use ground::Ground;
pub use ground::Present;
pub use ground::ask;
pub use present::from_answers;
pub use text::client_section;
pub use write::InitError;
pub use write::Made;
