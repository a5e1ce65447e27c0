//! Faults at the messages between a worker and PostgreSQL, over servers that the tests start themselves.
//!
//! A harness of its own: the processes of a run are started by this very program.

mod our_engine;
mod pipelined_engine;
mod run;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    hydra_live::become_it_if_told();
    let test = |name: &str, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    let tests = vec![
        test("what_is_lost_around_a_commit_breaks_nothing", our_engine::what_is_lost_around_a_commit_breaks_nothing),
        test("hydra_as_audited_is_found_out", our_engine::hydra_as_audited_is_found_out),
        test("two_messages_of_one_piece_are_cut_apart", pipelined_engine::two_messages_of_one_piece_are_cut_apart),
        test(
            "a_commit_whose_reply_is_lost_is_found_asked_anew",
            pipelined_engine::a_commit_whose_reply_is_lost_is_found_asked_anew,
        ),
        test(
            "one_transaction_of_one_piece_is_not_accused",
            pipelined_engine::one_transaction_of_one_piece_is_not_accused,
        ),
        test(
            "a_worker_that_dies_with_its_connection_comes_back_with_the_network",
            pipelined_engine::a_worker_that_dies_with_its_connection_comes_back_with_the_network,
        ),
    ];
    // One after the other: each makes several runs at once.
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    libtest_mimic::run(&arguments, tests).exit_code()
}
