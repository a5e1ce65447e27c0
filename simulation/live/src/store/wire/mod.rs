//! PostgreSQL's protocol, as far as it takes to tell messages apart and what each is about.

pub mod conversation;
pub mod messages;
pub mod statement;
