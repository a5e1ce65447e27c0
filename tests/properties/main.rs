//! Property suites: random programs, and numbers over their whole range. Each suite is also seen failing, on a store or
//! on rules that are known to be wrong.

mod encoding;
mod retry;
mod rows;
mod schedule_text;
mod stores;
mod transitions;
