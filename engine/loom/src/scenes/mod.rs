//! Small scenes, each explored to its end.

mod bell;
mod held;
mod queue;

use std::process::Command;

/// Every interleaving.
fn explore(scene: impl Fn() + Send + Sync + 'static) {
    loom::model::Builder::new().check(scene);
}

/// Every interleaving with at most so many preemptions: for scenes of more threads, most of whose interleavings differ in
/// nothing that matters.
fn explore_bounded(preemptions: usize, scene: impl Fn() + Send + Sync + 'static) {
    let mut explorer = loom::model::Builder::new();
    explorer.preemption_bound = Some(preemptions);
    explorer.check(scene);
}

/// Set for the child that explores a scene with a planted bug.
const PLANTED: &str = "HYDRA_LOOM_PLANTED";

/// loom must find what is wrong with the scene, and say this word of it. In a process of its own: what loom finds may end
/// its process.
fn finds(test: &str, word: &str, scene: impl Fn() + Send + Sync + 'static) {
    if std::env::var_os(PLANTED).is_some() {
        return explore(scene);
    }
    let test = test.split_once("::").map_or(test, |(_crate, test)| test);
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child.args(["--exact", test, "--nocapture"]).env(PLANTED, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("running 1 test"), "no test {test}: {said}");
    assert!(!output.status.success() && said.contains(word), "the planted bug was not found: {said}");
}

/// A test that loom finds a bug.
macro_rules! found {
    ($name:ident, $word:literal, $scene:expr) => {
        #[test]
        fn $name() {
            crate::scenes::finds(concat!(module_path!(), "::", stringify!($name)), $word, $scene);
        }
    };
}
use found;

/// A copy of a production file with a planted bug: see `build.rs`.
macro_rules! planted {
    ($($name:ident),*) => {
        $(#[allow(unused, reason = "a planted bug may leave something unused")]
        mod $name {
            include!(concat!(env!("OUT_DIR"), "/", stringify!($name), ".rs"));
        })*
    };
}
use planted;
