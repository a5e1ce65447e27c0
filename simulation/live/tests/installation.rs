//! An engine is installed once, by one audit at a time, in whatever version is asked for; and can be broken off.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Far more than any of it should take.
const AT_MOST: Duration = Duration::from_secs(60);

fn adapter(folder: &Path, install: &str) {
    let worker = r#"echo "{\"ready\": true, \"version\": \"$HYDRA_VERSION\"}"; exit 3"#;
    let text = format!(
        "name = \"slow\"\nversions = [\"1.0\"]\nabout = \"Slow to install.\"\n\
         install = [[\"sh\", \"-c\", '''{install}''']]\nworker = [\"sh\", \"-c\", '''{worker}''']\n\
         client = [\"sh\", \"-c\", '''{worker}''']\nstore = \"sqlite\"\ntakeover = \"another\"\n\
         [supports]\nkinds = [\"keyed\"]\n[timing]\nready_ms = 1500\nanswer_ms = 100\n"
    );
    std::fs::write(folder.join("adapter.toml"), text).unwrap();
}

fn check(what: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_hydra-live"))
        .args(["adapter", "check", what])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What it said, and its exit code.
fn said(mut child: Child) -> (String, i32) {
    until("it ends", || child.try_wait().unwrap().is_some());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    (said, output.status.code().unwrap_or(-1))
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < AT_MOST, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Reads on until a line holds this.
fn until_it_says(child: &mut Child, what: &str) {
    let out = BufReader::new(child.stdout.take().unwrap());
    assert!(out.lines().any(|line| line.unwrap().contains(what)), "it never said {what:?}");
}

fn interrupt(child: &Child) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
}

#[test]
fn can_be_broken_off_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    adapter(folder.path(), "sleep 1000 & echo $! > child; wait");
    let what = folder.path().display().to_string();
    let mut first = check(&what);
    let file = folder.path().join(".installed/1.0/child");
    let child = || std::fs::read_to_string(&file).ok()?.trim().parse::<i32>().ok();
    until("the installation begins", || child().is_some());
    let sleeps = Pid::from_raw(child().unwrap());

    // Another audit of the same does not install into the same folder meanwhile.
    let mut second = check(&what);
    until_it_says(&mut second, "waiting for another audit that installs it");
    interrupt(&second);
    let (told, code) = said(second);
    assert!(told.contains("stopped before it was installed"), "{told}");
    assert_eq!(code, 2);
    assert!(first.try_wait().unwrap().is_none(), "the first goes on");

    interrupt(&first);
    let (told, code) = said(first);
    assert!(told.contains("stopped while it was installed; the next time installs it from the beginning"), "{told}");
    assert_eq!(code, 2);
    until("what the installer had started ends", || kill(sleeps, None).is_err());
    assert!(!folder.path().join(".installed/1.0/installed").exists());
}

#[test]
fn any_version_may_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    adapter(folder.path(), "echo installed > here");
    let (told, _) = said(check(&format!("{}@2.0-rc.1", folder.path().display())));
    assert!(told.contains("slow 2.0-rc.1: adapter.toml is understood"), "{told}");
    assert!(folder.path().join(".installed/2.0-rc.1/here").exists(), "{told}");
    assert!(!told.contains("says that it runs version"), "{told}");
}

#[test]
fn what_is_no_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    adapter(folder.path(), "true");
    for version in ["..", "../../up", "", "1.0 --pre"] {
        let (told, code) = said(check(&format!("{}@{version}", folder.path().display())));
        assert!(told.contains(&format!("{version:?} is no version; those that were tried are 1.0")), "{told}");
        assert!(told.contains("adapter.toml:2"), "{told}");
        assert_eq!(code, 2);
    }
}
