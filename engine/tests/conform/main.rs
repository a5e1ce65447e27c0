//! Conformance of real runs: what a store did, by its own journal, is what the rules say; and whatever departs from them
//! is named.

mod by_hand;
mod encoding;
mod planted;
mod runs;
mod world;
