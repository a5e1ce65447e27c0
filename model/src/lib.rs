//! Exhaustive model checking of the protocol, and a museum of known-wrong engines.

pub mod museum;
pub mod properties;
pub mod scopes;
pub mod search;
pub mod story;
pub mod world;
