//! The text of schedules: what a line says is what is written, whatever was done to it.

use hydra_fuzz_targets::schedule::{judge, judge_writer};
use hydra_schedule::Schedule;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

const LINES: [&str; 26] = [
    "hydra schedule 1",
    "subject reference",
    "seed 42",
    "workers 3",
    "set lease-ms 7000",
    "program {\"id\":\"W1\",\"body\":[{\"step\":{\"id\":\"1\",\"kind\":\"keyed\"}}]}",
    "at 120 client starts W1",
    "client starts W1 other-input",
    "client cancels W1",
    "A claims W1",
    "A begins W1/1 attempt 1",
    "A runs W1/1",
    "A settles W1/1 in-doubt",
    "B finishes W1 succeeded",
    "A beats",
    "time passes W1",
    "store expires W1",
    "fault crash A on write#12",
    "at 7 fault partition A,B out",
    "fault partition all",
    "fault heal A,B",
    "fault pause A 60000",
    "fault clock A +5000",
    "fault clock A -5000",
    "fault drift A 200",
    "fault call-fails A ENOSPC on fsync#3",
];

/// Lines of schedules, in any order, with words put out of their place and letters changed.
fn text() -> impl Strategy<Value = String> {
    let line =
        (select(LINES.to_vec()), any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..6_u8, any::<char>());
    let line = line.prop_map(|(line, at, other, what, letter)| {
        let mut words: Vec<&str> = line.split(' ').collect();
        let (one, two) = (at.index(words.len()), other.index(words.len()));
        match what {
            0 => words.swap(one, two),
            1 => drop(words.remove(one)),
            2 => words.insert(one, words[two]),
            3 => {
                let mut letters: Vec<char> = line.chars().collect();
                let at = at.index(letters.len());
                letters[at] = letter;
                return letters.into_iter().collect();
            }
            _ => {}
        }
        words.join(" ")
    });
    prop::collection::vec(line, 0..8).prop_map(|lines| format!("hydra schedule 1\n{}\n", lines.join("\n")))
}

fn run(write: impl Fn(&Schedule) -> String + Copy) -> Result<(), String> {
    let config = Config { cases: 4_000, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let run = runner.run(&text(), |text| judge_writer(text.as_bytes(), write).map_err(TestCaseError::fail));
    run.map_err(|error| error.to_string())
}

#[test]
fn whatever_is_read_reads_back() {
    run(Schedule::to_string).unwrap_or_else(|broken| panic!("{broken}"));
    judge(LINES.join("\n").as_bytes()).unwrap_or_else(|broken| panic!("{broken}"));
}

#[test]
fn a_writer_that_is_wrong_is_told_apart() {
    let without_places = |schedule: &Schedule| schedule.to_string().replace(" on write#12", "");
    assert!(run(without_places).is_err(), "it forgets where a fault strikes");
    let without_signs = |schedule: &Schedule| schedule.to_string().replace("clock A -", "clock A +");
    assert!(run(without_signs).is_err(), "it forgets which way a clock jumps");
    let cut = |schedule: &Schedule| schedule.to_string().replace("other-input", "");
    assert!(run(cut).is_err(), "it forgets that an input is another one");
}
