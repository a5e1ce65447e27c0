//! Exhaustive model checking of the protocol, and a museum of known-wrong engines.

pub mod properties;
pub mod search;
pub mod story;
pub mod world;
