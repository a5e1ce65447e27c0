//! The contract of every store, sentence by sentence, judged with two handles on the same rows and a clock that stands
//! still. A further store is judged by adding it to `harness::Which`.

mod executions;
mod harness;
mod leases;
mod requests;
mod retention;
mod steps;
mod transactions;
mod wrong;

/// One test for each store and each sentence.
macro_rules! judge {
    ($($group:ident: $($sentence:ident)*;)*) => {
        judge!(@store memory_inline MemoryInline $($group: $($sentence)*;)*);
        judge!(@store memory_group_commit MemoryGroupCommit $($group: $($sentence)*;)*);
        judge!(@store sqlite_inline SqliteInline $($group: $($sentence)*;)*);
        judge!(@store sqlite_group_commit SqliteGroupCommit $($group: $($sentence)*;)*);
        #[cfg(feature = "postgres-tests")]
        judge!(@store postgres Postgres $($group: $($sentence)*;)*);
    };
    (@store $store:ident $which:ident $($group:ident: $($sentence:ident)*;)*) => {
        mod $store {
            use crate::harness::Which;
            $($(
                #[tokio::test]
                async fn $sentence() {
                    crate::$group::$sentence(Which::$which).await;
                }
            )*)*
        }
    };
}

judge! {
    executions:
        a_start_writes_once_and_is_answered_again
        another_input_or_workflow_is_a_conflict
        what_was_started_can_be_looked_at
        an_ending_writes_what_came_of_it
        an_ending_wakes_those_who_wait_for_it
        those_that_are_not_open_are_told_at_one_go
        an_ending_abandons_what_is_open
        a_cancelled_execution_takes_nothing_from_its_worker
        a_failed_execution_can_be_retried
        a_step_in_doubt_is_resolved_first
        lists_are_filtered_and_newest_first;
    leases:
        claims_take_the_longest_due_first
        claims_leave_what_is_not_due_or_not_known
        one_execution_is_claimed_by_one_worker
        a_claim_reads_the_journal
        a_claim_ends_what_is_past_its_deadline
        a_claim_ends_what_was_replayed_too_often
        the_next_due_time_is_told
        a_stale_epoch_writes_nothing
        heartbeats_are_decided_one_by_one_in_order
        a_release_makes_it_due_and_says_so
        the_history_says_who_held_it_and_when;
    steps:
        a_settled_step_is_answered_with_its_checkpoint
        a_failed_attempt_waits_and_keeps_its_error
        an_orphaned_attempt_is_recovered_by_its_kind
        an_unencodable_result_is_an_outcome
        a_timer_sleeps_and_fires_by_the_clock_of_the_store
        steps_keep_their_inputs_and_times;
    transactions:
        effect_and_checkpoint_commit_together
        a_body_that_is_dropped_undoes_only_itself
        a_body_that_fails_in_a_statement_goes_on_or_drops
        no_body_is_opened_for_what_is_settled_or_refused
        a_body_cannot_touch_the_engine_or_its_transaction
        parameters_are_bound_by_their_number
        values_come_back_as_they_went_in
        a_body_that_takes_too_long_is_undone_and_stalls_nobody
        a_statement_that_takes_too_long_is_interrupted
        a_body_cannot_undo_what_others_commanded
        a_body_that_commits_too_large_a_value_is_undone;
    retention:
        what_ended_long_ago_is_deleted_and_nothing_else
        deleting_goes_on_where_the_batch_before_came_to
        deleting_stops_at_what_was_started_later
        a_key_is_never_given_again
        a_start_under_a_deleted_id_begins_anew;
    requests:
        odd_names_are_refused
        a_request_that_lacks_something_is_refused
        a_payload_too_large_is_refused_and_nothing_is_written
        an_answer_tells_the_time_of_its_transaction;
}
