//! loom over what the engine's threads and tasks share. The engine itself does not build under `cfg(loom)`, since tokio
//! does not; so the files in question rest on the standard library alone, and are included here as they are.
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" cargo test -p hydra-loom --release
//! ```
//!
//! Each test explores every interleaving of a small scene. A lost wake-up is a deadlock to loom, which it reports. That
//! it does is tested too: `build.rs` plants bugs in copies of the same files, and each must be found.
#![cfg(all(loom, test))]
#![expect(dead_code, reason = "the engine uses all of it")]

#[path = "../../src/bell.rs"]
mod bell;
#[path = "../../src/worker/leases/held.rs"]
mod held;
#[path = "../../src/store/group_commit/queue.rs"]
mod queue;
mod store;
#[path = "../../src/sync.rs"]
mod sync;

mod scenes;
