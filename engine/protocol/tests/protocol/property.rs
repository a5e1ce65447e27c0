//! The names of the properties of schedules.

/// One claim, one epoch, higher than all before.
pub const EPOCHS_RISE: &str = "every lease has an epoch of its own, higher than all before";
/// The fence.
pub const FENCED: &str = "who holds no lease writes nothing";
/// No two leases overlap.
pub const ONE_LEASE: &str = "no lease is granted while another is in force";
/// Due times hold.
pub const NOT_BEFORE_DUE: &str = "nothing is claimed before it is due";
/// A heartbeat only lengthens a lease that is in force.
pub const RENEWAL: &str = "a lease is renewed while in force, and never shortened";
/// The deadline.
pub const DEADLINE: &str = "after its deadline an execution is ended, not driven";
/// The bound on claims.
pub const REPLAYS: &str = "claims in a row that settle nothing are bounded";
/// The bound on attempts.
pub const ATTEMPTS: &str = "attempts never exceed what was granted";
/// No second body.
pub const SETTLED_STAYS: &str = "a checkpoint never changes, and its body does not run again";
/// Only the attempt under way is settled.
pub const STALE_REPORT: &str = "an attempt is settled by the lease that began it, and by its number";
/// What is reported is recorded.
pub const RECORDED: &str = "what a worker reports is what is recorded";
/// Timers.
pub const TIMERS: &str = "a timer fires at its time or later, and that time never moves";
/// Backoffs.
pub const BACKOFFS: &str = "a backoff is waited for, and never falls";
/// Endings.
pub const ENDED_STAYS: &str = "an ending stays, until an operator retries a failure";
/// Cancel.
pub const CANCEL: &str = "a cancelled execution has ended at once";
/// Start.
pub const START_ONCE: &str = "an execution starts once, with one input";
/// Answers.
pub const TRUE_ANSWERS: &str = "what is answered is what the rows say";
/// Idempotence.
pub const IDEMPOTENT: &str = "sent again at once, an accepted command is answered the same and changes nothing";
/// Operators.
pub const RESOLVED: &str = "an unknown outcome is resolved by an operator, and only while nothing was built on it";
