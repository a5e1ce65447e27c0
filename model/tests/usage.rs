//! The command line: what it refuses, and what it exits with.

use clap::Parser;
use hydra_model::cli::CheckArgs;
use hydra_model::world::bounds::{Bounds, Program};
use hydra_protocol::Kind;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    check: CheckArgs,
}

fn exit(words: &str) -> u8 {
    Cli::try_parse_from(words.split_whitespace()).unwrap().check.run()
}

#[test]
fn exit_status_tells_what_came_of_it() {
    assert_eq!(exit("hydra --workers 2 --executions 1 --steps 2 --attempts 2 --faults crash,reply-lost"), 0);
    assert_eq!(exit("hydra --mutant zombie-settles --workers 2 --steps 1 --faults expire"), 1);
    assert_eq!(exit("hydra --mutant no-such-engine"), 2);
    assert_eq!(exit("hydra --faults rain"), 2);
    assert_eq!(exit("hydra --workers 9"), 2);
    assert_eq!(exit("hydra --threads 0"), 2);
    assert_eq!(exit("hydra --memory 0"), 2);
    assert_eq!(exit("hydra --explore nowhere"), 2);
    assert_eq!(exit("hydra --workers 3 --executions 2 --memory 0.002"), 3);
}

#[test]
fn wrong_bounds_get_a_sentence_that_says_which_are_allowed() {
    let wrong = |change: fn(&mut Bounds)| {
        let mut bounds = Bounds::smallest();
        change(&mut bounds);
        bounds.check().unwrap_err().to_string()
    };
    assert_eq!(wrong(|bounds| bounds.workers = 0), "workers must be from 1 to 4, not 0");
    assert_eq!(wrong(|bounds| bounds.executions = 3), "executions must be from 1 to 2, not 3");
    assert_eq!(wrong(|bounds| bounds.attempts = 101), "attempts must be from 1 to 100 for 1 steps, not 101");
    assert_eq!(wrong(|bounds| bounds.replays = Some(9)), "replays must be from 1 to 3, or unlimited");
    let wide = wrong(|bounds| {
        bounds.workers = 4;
        bounds.executions = 2;
        bounds.program = Program::sequence(&[Kind::Keyed, Kind::Keyed, Kind::Keyed]);
        bounds.attempts = 2;
    });
    assert!(wide.contains("256 are stored: take fewer"), "{wide}");
}
