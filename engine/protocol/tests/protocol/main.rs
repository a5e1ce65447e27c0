//! Tests of the pure core.

mod coverage;
mod parse;
mod render;
mod script;
mod store;
mod transcripts;
mod words;
