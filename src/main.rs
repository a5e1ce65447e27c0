//! The command line of `hydra`.
fn main() {}
