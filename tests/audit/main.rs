//! The audit's own list: its five correctness properties and its five failure scenarios, each a file by that name.
//!
//! Each runs through the real engine, on every store (PostgreSQL with `--features postgres-tests`), under a controlled clock;
//! and each is run again under rules that are known to be wrong, or on a store that is, and must notice. Where the store
//! keeps a journal, that is replayed through the rules besides.

mod broken;
mod link;
#[cfg(feature = "postgres-tests")]
mod postgres;
mod stage;

mod p1_steps_execute_exactly_once_even_with_worker_crashes;
mod p2_every_execution_terminates;
mod p3_worker_crash_recovery_works;
mod p4_no_race_conditions_between_workers;
mod p5_database_state_is_always_consistent;

mod s1_worker_crashes_mid_step;
mod s2_connection_lost_during_state_update;
mod s3_multiple_workers_on_one_execution;
mod s4_step_succeeds_but_encoding_fails;
mod s5_heartbeats_under_network_partitions;
