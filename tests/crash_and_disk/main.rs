//! The engine as a real process on a real file, and what may happen to it: killed at every boundary, two on one file
//! killed in turn, a power cut at every write, a disk that is full, read-only or failing.
//!
//! A harness of its own: this program is also the process that is broken. `campaign NAME` runs all of a suite, where
//! the tests run a sample.

mod disk_full_or_failing;
mod judge;
mod killed_at_every_boundary;
mod power_cut;
mod process;
mod side_by_side;
mod stage;
mod two_processes_killed_in_turn;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    hydra_live::become_it_if_told();
    if let Some(plan) = process::Plan::told() {
        return process::run(&plan);
    }
    let words: Vec<_> = std::env::args().skip(1).collect();
    if let Some(("campaign", name)) = words.first().map(String::as_str).zip(words.get(1)) {
        return campaign(name);
    }
    libtest_mimic::run(&Arguments::from_args(), tests()).exit_code()
}

/// The tests, under the names of their modules.
fn tests() -> Vec<Trial> {
    macro_rules! trials {
        ($($module:ident::$test:ident),* $(,)?) => {
            vec![$(Trial::test(concat!(stringify!($module), "::", stringify!($test)), || {
                $module::$test();
                Ok(())
            })),*]
        };
    }
    trials![
        side_by_side::every_item_is_done_and_an_error_is_told,
        killed_at_every_boundary::no_promise_is_broken,
        killed_at_every_boundary::engines_known_to_be_wrong_are_found_out,
        two_processes_killed_in_turn::no_promise_is_broken,
        two_processes_killed_in_turn::an_engine_known_to_be_wrong_is_found_out,
        power_cut::nothing_acknowledged_is_lost_and_nothing_is_half_done,
        power_cut::nothing_is_lost_when_it_is_cut_again_in_the_recovery,
        power_cut::commits_that_are_not_synced_are_found_lost,
        power_cut::every_sync_is_needed,
        disk_full_or_failing::errors_are_typed_and_work_resumes,
        disk_full_or_failing::an_engine_known_to_be_wrong_is_found_out,
        disk_full_or_failing::what_cannot_be_read_is_asked_for_again,
        disk_full_or_failing::a_blind_store_is_found_out_by_failing_reads,
    ]
}

fn campaign(name: &str) -> ExitCode {
    let verdict = match name {
        "killed-at-every-boundary" => killed_at_every_boundary::campaign(),
        "two-processes" => two_processes_killed_in_turn::campaign(),
        "power-cut" => power_cut::campaign(),
        "disk" => disk_full_or_failing::campaign(),
        _ => Err("campaigns: killed-at-every-boundary, two-processes, power-cut, disk".to_owned()),
    };
    match verdict {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Numbers that look like chance and are the same each time.
pub struct Dice(pub u64);

impl Dice {
    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}
