//! Not a test: the last of the tests by its name, it says what else there is to run, and how.

fn main() {
    let readme = include_str!("../README.md");
    let section = readme.split("\n## Longer campaigns\n").nth(1).and_then(|rest| rest.split("\n## ").next());
    let section = section.expect("README.md has a section on longer campaigns");
    println!("\nWhat takes longer (README.md, \"Longer campaigns\" and \"Fuzzing\"):\n");
    for line in section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| what ")) {
        let (what, command) = line.trim_matches(['|', ' ']).rsplit_once(" | ").expect("two cells");
        println!("  {}\n      # {what}", command.trim_matches('`'));
    }
    println!();
}
