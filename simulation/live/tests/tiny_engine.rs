//! The auditor from end to end, over a tiny engine of its own: right, and with a bug that only a zombie shows.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Far more than any of it should take, and far less than for ever.
const AT_MOST: Duration = Duration::from_secs(180);

/// A worker stands still with its reply withheld until another has brought the execution to its end.
const LATE_ZOMBIE: &str = r#"hydra schedule 1
subject tiny-1.0
workers 1
program {"id":"W1","body":[{"step":{"id":"1","kind":"keyed"}},{"step":{"id":"2","kind":"keyed"}}]}
set world live

fault pause A 30000 on after-2#1
client awaits W1
fault resume A
"#;

/// The same with other faults.
fn instead(faults: &str) -> String {
    let zombie = LATE_ZOMBIE.find("fault").unwrap();
    LATE_ZOMBIE[..zombie].to_owned() + faults
}

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tiny")
}

fn auditor() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hydra-live"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What the auditor says of a schedule on the tiny engine, and its exit code.
fn replay(schedule: &str, fenced: &str) -> (String, i32) {
    replay_on(&tiny(), schedule, fenced)
}

fn replay_on(adapter: &Path, schedule: &str, fenced: &str) -> (String, i32) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("one.schedule");
    std::fs::write(&file, schedule).unwrap();
    let output = auditor().arg("audit").arg(adapter).arg("--replay").arg(file).env("FENCED", fenced).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (said, output.status.code().unwrap_or(-1))
}

#[test]
fn an_end_that_a_zombie_writes_again_is_found() {
    let (said, code) = replay(LATE_ZOMBIE, "0");
    assert!(said.contains("BROKEN rows-consistent") && code == 1, "{code}: {said}");
}

#[test]
fn an_engine_that_fences_its_zombies_is_not_accused() {
    let (said, code) = replay(LATE_ZOMBIE, "1");
    assert!(!said.contains("BROKEN") && code == 0, "{code}: {said}");
}

#[test]
fn a_second_fault_strikes_whoever_took_over() {
    let (said, code) = replay(&instead("fault crash A on after-1#1\nfault crash B on before-2#1\n"), "1");
    assert!(!said.contains("not reached") && code == 0, "{code}: {said}");
}

#[test]
fn a_place_that_is_never_reached_is_no_verdict() {
    let (said, code) = replay(&LATE_ZOMBIE.replace("after-2#1", "after-2#9"), "0");
    assert!(said.contains("1 of its places were not reached") && code == 3, "{code}: {said}");
}

#[test]
fn a_worker_whose_clock_can_jump_works_like_any_other() {
    let (said, code) = replay(&instead("fault clock A +5000 on after-1#1\nfault crash A on before-2#1\n"), "1");
    assert!(!said.contains("BROKEN") && !said.contains("not reached") && code == 0, "{code}: {said}");
}

#[test]
fn a_clock_that_cannot_jump_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let adapter = std::fs::read_to_string(tiny().join("adapter.toml")).unwrap();
    let unmoved = adapter.replace(r#"worker = ["#, r#"worker = ["env", "-u", "LD_PRELOAD", "#);
    assert_ne!(unmoved, adapter);
    std::fs::write(folder.path().join("adapter.toml"), unmoved).unwrap();
    std::fs::copy(tiny().join("engine.py"), folder.path().join("engine.py")).unwrap();
    let (said, code) = replay_on(folder.path(), &instead("fault clock A +5000 on after-1#1\n"), "1");
    assert!(said.contains("its clock cannot be made to jump") && code == 3, "{code}: {said}");
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < AT_MOST, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What stands in the folder that audits make their own folders in.
fn folders(of: &Path) -> usize {
    std::fs::read_dir(of).map_or(0, |entries| entries.flatten().count())
}

fn audit(out: &Path, temporary: &Path) -> Child {
    let log = std::fs::File::create(out.join("log")).unwrap();
    let mut command = auditor();
    command.arg("audit").arg(tiny()).args(["--time", "100", "--jobs", "2", "--out"]).arg(out);
    command.env("TMPDIR", temporary).stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

#[test]
fn an_audit_that_is_broken_off_reports_what_it_did_and_leaves_nothing() {
    let (out, temporary) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut auditor = audit(out.path(), temporary.path());
    let log = || std::fs::read_to_string(out.path().join("log")).unwrap_or_default();
    until("the audit never began", || log().contains("single faults"));
    kill(Pid::from_raw(i32::try_from(auditor.id()).unwrap()), Signal::SIGINT).unwrap();
    until("it does not come to an end", || auditor.try_wait().unwrap().is_some());
    let report = std::fs::read_to_string(out.path().join("tiny-1.0/report.md")).unwrap_or_default();
    assert!(report.contains("broken off before its end"), "{report}\n{}", log());
    assert_eq!(folders(temporary.path()), 0, "its folder is left");
}

#[test]
fn an_audit_that_is_killed_leaves_no_folder() {
    let (out, temporary) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut auditor = audit(out.path(), temporary.path());
    let log = || std::fs::read_to_string(out.path().join("log")).unwrap_or_default();
    until("the audit never began", || log().contains("single faults"));
    assert_ne!(folders(temporary.path()), 0);
    auditor.kill().unwrap();
    auditor.wait().unwrap();
    until("its folder is left", || folders(temporary.path()) == 0);
}

#[test]
fn an_audit_is_over_within_its_time_and_counts_what_it_left() {
    let (out, time) = (tempfile::tempdir().unwrap(), Duration::from_secs(30));
    let mut auditor = auditor();
    auditor.arg("audit").arg(tiny()).args(["--quick", "--time", "30", "--out"]).arg(out.path()).env("FENCED", "1");
    let started = Instant::now();
    let output = auditor.output().unwrap();
    // Its processes are ended and its report is written after its time.
    assert!(started.elapsed() < time + Duration::from_secs(15), "{:?}", started.elapsed());
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() != Some(1), "{said}");
    assert!(said.contains("of the plan not begun for lack of time"), "{said}");
}
