//! Small scenes, each explored to its end.

mod bell;
mod held;
mod queue;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Every interleaving.
fn explore(scene: impl Fn() + Send + Sync + 'static) {
    loom::model::Builder::new().check(scene);
}

/// loom must find what is wrong with it: a deadlock, or an assertion that fails.
fn finds(scene: impl Fn() + Send + Sync + 'static) {
    let explored = catch_unwind(AssertUnwindSafe(|| explore(scene)));
    assert!(explored.is_err(), "the planted bug was not found");
}

/// A copy of a production file with a planted bug: see `build.rs`.
macro_rules! planted {
    ($($name:ident),*) => {
        $(mod $name {
            include!(concat!(env!("OUT_DIR"), "/", stringify!($name), ".rs"));
        })*
    };
}
use planted;
