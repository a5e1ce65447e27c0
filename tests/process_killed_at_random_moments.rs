//! The demo's process is killed with SIGKILL at 200 random moments, and no promise is broken: every order ends, charged
//! once, booked once, mailed at most once, and the workflow knows whether it was mailed.

use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How often a living process is killed.
const KILLS: u32 = 200;
/// Then the orders of a folder are let finish, and judged.
const KILLS_PER_FOLDER: u32 = 20;
/// No run takes nearly so long; one that does hangs.
const RUN_MAX: Duration = Duration::from_secs(60);

fn demo(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hydra"));
    command.arg("demo").arg(folder).args(["--orders", "6", "--pace", "12", "--lease", "120"]);
    command.stdout(Stdio::null()).stderr(Stdio::inherit());
    command
}

/// Moments differ from run to run as it is; the sequence of waits does not.
struct Waits(u64);

impl Waits {
    fn next(&mut self, below: Duration) -> Duration {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        below.mul_f64((self.0 >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

/// Ends it after `wait`, unless it has come to its end before.
fn kill_after(mut child: std::process::Child, wait: Duration) -> Option<ExitStatus> {
    let until = Instant::now() + wait;
    while Instant::now() < until {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

#[test]
fn no_promise_is_broken_by_sigkill_at_200_random_moments() {
    let mut waits = Waits(20_261_123);
    let mut kills = 0;
    while kills < KILLS {
        let folder = tempfile::tempdir().unwrap();
        let mut here = 0;
        while here < KILLS_PER_FOLDER {
            // Up to about as long as the orders take, opening the file included.
            match kill_after(demo(folder.path()).spawn().unwrap(), waits.next(Duration::from_millis(160))) {
                None => here += 1,
                // All done before the kill: judged by the demo itself, from its own and the outside world's rows.
                Some(status) => {
                    assert!(status.success(), "after {} kills a promise was broken", kills + here);
                    break;
                }
            }
        }
        kills += here;
        let status = kill_after(demo(folder.path()).spawn().unwrap(), RUN_MAX).expect("the orders do not end");
        assert!(status.success(), "after {kills} kills a promise was broken");
        let mut conform = Command::new(env!("CARGO_BIN_EXE_hydra"));
        let output = conform.arg("conform").arg(folder.path().join("orders.sqlite")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
