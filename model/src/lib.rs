//! Exhaustive model checking of the protocol, and a museum of known-wrong engines.
//!
//! | module | what it holds |
//! |---|---|
//! | [`world`] | the model: the core's rows and machines, in a world that goes wrong |
//! | [`properties`] | what must hold, on states and on edges |
//! | [`search`] | the exhaustive search and the four tiers of termination; it knows nothing of workflows |
//! | [`scopes`] | which models are searched |
//! | [`museum`] | known-wrong engines, each by one rule |
//! | [`story`] | counterexamples, told |
//! | [`replay`] | counterexamples, followed again |
//! | [`run`], [`cli`] | one run, and `hydra check` |

pub mod cli;
pub mod museum;
pub mod properties;
pub mod replay;
pub mod run;
pub mod scopes;
pub mod search;
pub mod story;
pub mod world;
