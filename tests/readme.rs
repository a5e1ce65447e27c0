//! The README's commands are commands of this program, and its first two are the ones that CI runs.

use std::process::Command;

fn readme() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap()
}

#[test]
fn every_subcommand_that_it_names_is_there() {
    let mut named = 0;
    for command in readme().split("cargo run --release -- ").skip(1) {
        let subcommand = command.split([' ', '`']).next().unwrap();
        let help = Command::new(env!("CARGO_BIN_EXE_hydra")).args([subcommand, "--help"]).output().unwrap();
        assert!(help.status.success(), "hydra {subcommand} --help: {}", String::from_utf8_lossy(&help.stderr));
        named += 1;
    }
    assert!(named >= 8, "only {named} commands");
}

#[test]
fn ci_runs_its_test_command() {
    let readme = readme();
    let test = readme.lines().find(|line| line.starts_with("cargo test")).unwrap().split('#').next().unwrap().trim();
    let ci = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/run")).unwrap();
    assert!(ci.contains(test), ".ci/run does not run `{test}`");
}
