//! Which names are allowed, for namespaces, executions, workflows and steps.

/// Longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

/// A name that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It has no characters.
    #[error("the {what} is empty; give it a name")]
    Empty {
        /// What it names.
        what: &'static str,
    },
    /// It is longer than [`NAME_BYTES_MAX`].
    #[error("the {what} has {bytes} bytes; {NAME_BYTES_MAX} are allowed")]
    TooLong {
        /// What it names.
        what: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// It has a character that cannot stand in a name.
    #[error("the {what} {name:?} has the character {found:?}; leave out control characters{}", also(what))]
    Character {
        /// What it names.
        what: &'static str,
        /// The name.
        name: String,
        /// The character.
        found: char,
    },
}

fn also(what: &str) -> &'static str {
    if what == NAMESPACE { " and '/'" } else { "" }
}

pub(crate) const NAMESPACE: &str = "namespace";
pub(crate) const EXECUTION: &str = "execution id";
pub(crate) const WORKFLOW: &str = "workflow name";
pub(crate) const WORKER: &str = "worker name";
pub(crate) const STEP: &str = "step name";

/// A namespace has no '/': so an idempotency key (`namespace/id/step`) can be read in one way only, whatever the id.
pub(crate) fn check(what: &'static str, name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty { what });
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong { what, bytes: name.len() });
    }
    match name.chars().find(|c| c.is_control() || (*c == '/' && what == NAMESPACE)) {
        Some(found) => Err(NameError::Character { what, name: name.to_owned(), found }),
        None => Ok(()),
    }
}
