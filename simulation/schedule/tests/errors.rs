//! An error names the line, what was found and what is allowed.

use hydra_schedule::Schedule;

fn error(body: &str) -> String {
    format!("hydra schedule 1\n{body}").parse::<Schedule>().unwrap_err().to_string()
}

#[test]
fn each_mistake_is_told_with_its_line() {
    let cases = [
        ("A steals W1", "line 2: found \"steals\", allowed here: claims, begins, runs"),
        ("A begins W1 attempt 1", "line 2: found \"W1\", allowed here: a step"),
        ("A begins W1/2 attempt one", "line 2: found \"one\", allowed here: the attempt's number"),
        ("A settles W1/2 done", "line 2: found \"done\", allowed here: succeeded, failed, exhausted"),
        ("A claims W1\nA claims", "line 3: found the end of the line, allowed here: an execution"),
        ("A claims W1 W2", "line 2: found \"W2\", allowed here: the end of the line"),
        ("# a comment\n\nfault explode A", "line 4: found \"explode\", allowed here: crash, restart"),
        ("fault crash A on write", "line 2: found \"write\", allowed here: a place and its number"),
        ("fault partition A,,B", "line 2: found \"\", allowed here: all, or workers such as A or A,B"),
        ("seed 1\nseed 2", "line 3: found \"seed\" a second time"),
        ("A beats\nseed 1", "line 3: found the header line \"seed 1\" after an event"),
        ("seed minus", "line 2: found \"minus\", allowed here: a number"),
        ("client buys W1", "line 2: found \"buys\", allowed here: starts, cancels"),
        ("at noon A beats", "line 2: found \"noon\", allowed here: a time in milliseconds"),
    ];
    for (text, wanted) in cases {
        let found = error(text);
        assert!(found.starts_with(wanted), "{text:?} gave {found:?}");
    }
}

#[test]
fn another_version_and_another_file_are_refused() {
    let version = "hydra schedule 2\n".parse::<Schedule>().unwrap_err().to_string();
    assert_eq!(version, "line 1: found version 2, allowed here: version 1");
    let other = "{\"json\": true}".parse::<Schedule>().unwrap_err().to_string();
    assert!(other.contains("the first line \"hydra schedule 1\""), "{other}");
    assert!("".parse::<Schedule>().is_err());
}
