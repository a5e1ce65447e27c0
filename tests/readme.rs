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

/// Each of the longer campaigns is one command, and what it names is there.
#[test]
fn the_longer_campaigns_are_commands() {
    let readme = readme();
    let section = readme.split("\n## Longer campaigns\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let commands: Vec<_> = section
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| what"))
        .map(|line| line.trim_end_matches(['`', '|', ' ']).rsplit('`').next().unwrap())
        .collect();
    assert!(commands.len() >= 6, "{commands:?}");
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let crates = ["", "engine", "engine/loom", "simulation", "simulation/live"].map(|folder| root.join(folder));
    let manifest = |folder: &std::path::Path| std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    for command in commands {
        assert!(command.contains("cargo "), "{command}");
        let named = command.split(" -p ").nth(1).and_then(|rest| rest.split(' ').next());
        let name = format!("name = \"{}\"", named.unwrap_or("hydra"));
        let folder = crates.iter().find(|folder| manifest(folder).contains(&name));
        let folder = folder.unwrap_or_else(|| panic!("no package with {name}"));
        if let Some(test) = command.split(" --test ").nth(1).and_then(|rest| rest.split(' ').next()) {
            let there = [format!("tests/{test}.rs"), format!("tests/{test}/main.rs")];
            assert!(there.iter().any(|file| folder.join(file).exists()), "no test {test} in {}", folder.display());
        }
    }
    assert!(std::fs::read_to_string(root.join(".ci/run")).unwrap().contains("## Longer campaigns"));
}

#[test]
fn ci_runs_its_test_command() {
    let readme = readme();
    let test = readme.lines().find(|line| line.starts_with("cargo test")).unwrap().split('#').next().unwrap().trim();
    let ci = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/run")).unwrap();
    assert!(ci.contains(test), ".ci/run does not run `{test}`");
}
