//! Adapters that hang, flood, print garbage, die or lie: a clear error that names their line, soon, and nothing left.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Far more than any of it should take, and far less than for ever.
const AT_MOST: Duration = Duration::from_secs(60);

fn adapter(folder: &Path, worker: &str) {
    let text = format!(
        "name = \"bad\"\nversions = [\"1.0\"]\nabout = \"A bad one.\"\nworker = [\"sh\", \"-c\", '''{worker}''']\n\
         client = [\"sh\", \"-c\", \"exit 0\"]\nstore = \"sqlite\"\ntakeover = \"another\"\n\
         [supports]\nkinds = [\"keyed\"]\n[timing]\nready_ms = 1500\nanswer_ms = 100\n"
    );
    std::fs::write(folder.join("adapter.toml"), text).unwrap();
}

/// What `adapter check` says, and its exit code.
fn check(folder: &Path) -> (String, i32) {
    let started = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_hydra-live"))
        .args(["adapter", "check"])
        .arg(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(started.elapsed() < AT_MOST, "took {:?}", started.elapsed());
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    (said, output.status.code().unwrap_or(-1))
}

fn complains(worker: &str, of: &str) {
    let folder = tempfile::tempdir().unwrap();
    adapter(folder.path(), worker);
    let (said, code) = check(folder.path());
    assert!(said.contains(of), "expected {of:?} in: {said}");
    assert!(said.contains("adapter.toml:4"), "the line is not named in: {said}");
    assert_eq!(code, 2, "{said}");
}

#[test]
fn a_worker_that_dies_at_start() {
    complains(
        "echo no such module >&2; exit 3",
        "ended before it was ready (exit code 3): it wrote to its standard error:\nno such module",
    );
}

#[test]
fn a_worker_that_hangs() {
    complains("sleep 1000", "did not say that it is ready within");
}

#[test]
fn a_worker_that_prints_garbage() {
    complains("echo hello; sleep 1000", "printed \"hello\" as its first line");
}

#[test]
fn a_worker_that_floods() {
    complains("yes ''", "floods");
}

#[test]
fn a_worker_that_lies_about_its_version() {
    complains(
        r#"echo '{"ready": true, "version": "2.0"}'; sleep 1000"#,
        "says that it runs version \"2.0\"; asked for is \"1.0\"",
    );
}

/// What is said of a client that does this after its first line; its worker is ready and does nothing.
fn complains_of_the_client(client: &str, of: &str) {
    let folder = tempfile::tempdir().unwrap();
    let ready = r#"echo '{"ready": true, "version": "1.0"}'"#;
    adapter(folder.path(), &format!("{ready}; sleep 1000"));
    let file = folder.path().join("adapter.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"exit 0\"", &format!("'''{ready}; {client}'''"))).unwrap();
    let (said, code) = check(folder.path());
    assert!(said.contains(of), "expected {of:?} in: {said}");
    assert!(said.contains("adapter.toml:5"), "the line is not named in: {said}");
    assert_eq!(code, 2, "{said}");
}

#[test]
fn a_client_that_answers_garbage() {
    complains_of_the_client("read line; echo well; sleep 1000", "the client answered start with \"well\"");
}

#[test]
fn a_client_that_dies_when_it_is_asked() {
    complains_of_the_client("read line; echo no store >&2; exit 1", "the client ended while it was asked start");
}

#[test]
fn a_client_that_floods() {
    complains_of_the_client("read line; yes ''", "floods");
}

#[test]
fn a_client_that_hangs() {
    complains_of_the_client("sleep 1000", "the client 3 times in a row did not answer within");
}

#[test]
fn a_command_that_does_not_exist() {
    let folder = tempfile::tempdir().unwrap();
    adapter(folder.path(), "");
    let file = folder.path().join("adapter.toml");
    let text = std::fs::read_to_string(&file).unwrap().replace("\"sh\", \"-c\", ''''''", "\"/no/such/program\"");
    std::fs::write(&file, text).unwrap();
    let (said, code) = check(folder.path());
    assert!(said.contains("/no/such/program cannot be started") && said.contains("adapter.toml:4"), "{said}");
    assert_eq!(code, 2);
}

#[test]
fn a_key_that_means_nothing() {
    let folder = tempfile::tempdir().unwrap();
    adapter(folder.path(), "");
    let file = folder.path().join("adapter.toml");
    let text = std::fs::read_to_string(&file).unwrap().replace("takeover", "take_over");
    std::fs::write(&file, text).unwrap();
    let (said, code) = check(folder.path());
    assert!(said.contains("take_over"), "{said}");
    assert_eq!(code, 2);
}

#[test]
fn a_folder_without_an_adapter() {
    let folder = tempfile::tempdir().unwrap();
    let (said, code) = check(folder.path());
    assert!(said.contains("is no adapter"), "{said}");
    assert_eq!(code, 2);
}

/// The processes whose command line holds this text.
fn processes(text: &str) -> Vec<i32> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(text)
    })
    .collect()
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < AT_MOST, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn nothing_is_left_when_the_auditor_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    // A grandchild of its own session, which no signal to a group reaches.
    let mark = format!("100{}", std::process::id());
    let worker = format!("setsid sleep {mark} & sleep {mark}");
    adapter(folder.path(), &worker);
    let file = folder.path().join("adapter.toml");
    let text = std::fs::read_to_string(&file).unwrap().replace("1500", "60000");
    std::fs::write(&file, text).unwrap();
    let mut auditor = Command::new(env!("CARGO_BIN_EXE_hydra-live"))
        .args(["adapter", "check"])
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let sleepers = format!("sleep\0{mark}");
    until("the worker never started", || processes(&sleepers).len() >= 2);
    auditor.kill().unwrap();
    auditor.wait().unwrap();
    until("something is left", || processes(&sleepers).is_empty());
}

#[test]
fn a_skeleton_that_is_not_filled_in() {
    for language in ["python", "typescript", "rust", "go"] {
        let folder = tempfile::tempdir().unwrap();
        let skeleton = folder.path().join("mine");
        let mut new = Command::new(env!("CARGO_BIN_EXE_hydra-live"));
        let made = new.args(["adapter", "new"]).arg(&skeleton).args(["--language", language]).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        let (said, code) = check(&skeleton);
        assert!(said.contains("adapter.toml:2: ENGINE: its versions"), "{language}: {said}");
        assert!(said.contains("ENGINE: start the workflow under "), "{language}: {said}");
        assert_eq!(code, 1, "{said}");
        // Nothing was installed or started: an engine of that name must not be looked for.
        assert!(!said.contains("installing"), "{said}");
    }
}
