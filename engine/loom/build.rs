//! Plants bugs: copies of production files with one place changed, which loom must find. A place that is not there any
//! more fails the build.

use std::path::Path;

/// Name of the copy, file, what stands there, what is planted.
const PLANTED: &[(&str, &str, &str, &str)] = &[
    // A task that finds it full lets go of the lock before it registers: the take in between wakes nobody.
    (
        "queue_registers_late",
        "store/group_commit/queue.rs",
        "state.waiting.push(context.waker().clone());",
        "drop(state); self.lock().waiting.push(context.waker().clone());",
    ),
    // Of the tasks that wait for room only one is woken, though it may be one that has gone.
    (
        "queue_wakes_one",
        "store/group_commit/queue.rs",
        "let waiting = std::mem::take(&mut state.waiting);\n        drop(state);\n        waiting.into_iter().for_each(Waker::wake);\n        Some(taken)",
        "let waiting = state.waiting.pop();\n        drop(state);\n        waiting.into_iter().for_each(Waker::wake);\n        Some(taken)",
    ),
    // The thread that waits is counted after it has let go of the lock, so who pushes in between does not wake it.
    (
        "queue_waits_uncounted",
        "store/group_commit/queue.rs",
        "state.idle += 1;\n            state = self.filled",
        "drop(state); state = self.lock(); state.idle += 1;\n            state = self.filled",
    ),
    // Closing forgets the tasks that wait for room.
    (
        "queue_closes_on_them",
        "store/group_commit/queue.rs",
        "waiting.into_iter().for_each(Waker::wake);\n        self.filled.notify_all();",
        "drop(waiting);\n        self.filled.notify_all();",
    ),
    // Whether it has rung is looked at under another lock than the one it registers under: a ring in between is missed.
    (
        "bell_registers_late",
        "bell.rs",
        "if state.rings > this.rings {\n            return Poll::Ready(());\n        }",
        "drop(state);\n        if this.bell.rings() > this.rings {\n            return Poll::Ready(());\n        }\n        let mut state = this.bell.lock();",
    ),
    // Whoever watches for an end looks, lets go of the lock, and registers: an end in between is written over.
    (
        "watch_registers_late",
        "store/signals.rs",
        "*state = Watching::Asked(context.waker().clone());",
        "drop(state);\n                *self.lock() = Watching::Asked(context.waker().clone());",
    ),
    // The lease is let go, and its driver not told.
    (
        "held_tells_nobody",
        "worker/leases/held.rs",
        "let gone = self.lock().remove(key);\n        gone.into_iter().for_each(Lease::tell);",
        "self.lock().remove(key);",
    ),
    // The driver registers after another look at nothing: a loss in between is not told.
    (
        "held_registers_late",
        "worker/leases/held.rs",
        "match self.lock().get_mut(key) {\n            Some(lease) if lease.clock.duty(now) != Duty::Stop => {",
        "if self.lock().get(key).is_none_or(|lease| lease.clock.duty(now) == Duty::Stop) {\n            return Poll::Ready(());\n        }\n        match self.lock().get_mut(key) {\n            None => Poll::Pending,\n            Some(lease) if lease.clock.duty(now) != Duty::Stop => {",
    ),
    // A lease of an execution that the worker holds already leaves the older one as it is.
    (
        "held_keeps_the_older",
        "worker/leases/held.rs",
        "let gone: Vec<_> = older.iter().filter_map(|key| leases.remove(key)).collect();\n        leases.insert",
        "let gone: Vec<Lease> = Vec::new();\n        leases.insert",
    ),
    // An answer that comes after the drive is done takes the lease up again.
    (
        "held_renews_the_released",
        "worker/leases/held.rs",
        "if let Some(held) = self.lock().get_mut(key) {\n            held.clock.renewed(sent_at, span);\n        }",
        "self.lock().entry(*key).or_insert(Lease { clock: LeaseClock::granted(sent_at, span), driver: None });",
    ),
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_CFG_LOOM").is_none() {
        return;
    }
    let engine = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let out = std::env::var_os("OUT_DIR").expect("cargo sets it");
    for (name, file, right, planted) in PLANTED {
        let path = engine.join(file);
        println!("cargo::rerun-if-changed={}", path.display());
        let source = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(source.matches(right).count(), 1, "{file} does not have, once: {right}");
        // The file's own doc comment and tests: neither may stand in an include.
        let source: String =
            source.lines().skip_while(|line| line.starts_with("//!")).map(|line| format!("{line}\n")).collect();
        let source = source.split("#[cfg(all(test, not(loom)))]").next().unwrap_or_default();
        std::fs::write(Path::new(&out).join(format!("{name}.rs")), source.replace(right, planted)).expect("writable");
    }
}
