//! Exhaustive model checking of the protocol, and a museum of known-wrong engines.

pub mod search;
