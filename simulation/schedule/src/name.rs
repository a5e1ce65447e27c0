//! Names in a schedule: workers, executions, steps, subjects.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Words that begin a line or stand for a group, so that no worker, execution or step may be called so.
pub const RESERVED: [&str; 12] =
    ["hydra", "subject", "seed", "workers", "program", "set", "at", "client", "time", "store", "fault", "all"];

/// The longest name, in bytes.
const LENGTH_MAX: usize = 128;

/// A worker, execution, step, setting or subject: letters, digits, `-`, `_`, `.` and `:`; never a reserved word.
///
/// Restricted so that a schedule parses back whatever it names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Name(Box<str>);

/// Why a text is no [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty or longer than 128 bytes.
    #[error("a name has 1 to {LENGTH_MAX} bytes, not {bytes}")]
    Length {
        /// The length found.
        bytes: usize,
    },
    /// A character that would not parse back.
    #[error("{name:?} holds {found:?}; a name is made of letters, digits, '-', '_', '.' and ':'")]
    Character {
        /// The whole text.
        name: String,
        /// The first character that is not allowed.
        found: char,
    },
    /// A word that means something else in a schedule.
    #[error("{0:?} is a reserved word of the schedule format")]
    Reserved(String),
    /// A step is written `EXECUTION/STEP`.
    #[error("{0:?} is no step; write EXECUTION/STEP, such as W1/2")]
    NotAStep(String),
}

impl Name {
    /// Checks and wraps `text`.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.is_empty() || text.len() > LENGTH_MAX {
            return Err(NameError::Length { bytes: text.len() });
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
        if let Some(found) = text.chars().find(|c| !allowed(*c)) {
            return Err(NameError::Character { name: text.to_owned(), found });
        }
        if RESERVED.contains(&text) {
            return Err(NameError::Reserved(text.to_owned()));
        }
        Ok(Name(text.into()))
    }

    /// The `index`-th worker, from 0: A, B, ... Z, A1, B1, ...
    pub fn worker(index: usize) -> Self {
        let letter = char::from(b'A' + (index % 26) as u8);
        match index / 26 {
            0 => Name(letter.to_string().into()),
            round => Name(format!("{letter}{round}").into()),
        }
    }

    /// The `index`-th execution, from 0: W1, W2, ...
    pub fn execution(index: usize) -> Self {
        Name(format!("W{}", index + 1).into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Name {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Name::new(text)
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Name::new(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0.into()
    }
}

/// A step of an execution, written `W1/2` or `W1/charge-card`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct StepName {
    /// The execution it belongs to.
    pub execution: Name,
    /// Its name or number within that execution.
    pub step: Name,
}

impl StepName {
    /// The step `step` of `execution`.
    pub fn new(execution: &str, step: &str) -> Result<Self, NameError> {
        Ok(StepName { execution: Name::new(execution)?, step: Name::new(step)? })
    }

    /// The step numbered `number` of `execution`.
    pub fn numbered(execution: &Name, number: u32) -> Self {
        StepName { execution: execution.clone(), step: Name(number.to_string().into()) }
    }
}

impl fmt::Display for StepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.execution, self.step)
    }
}

impl FromStr for StepName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.split_once('/') {
            Some((execution, step)) => StepName::new(execution, step),
            None => Err(NameError::NotAStep(text.to_owned())),
        }
    }
}

impl TryFrom<String> for StepName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<StepName> for String {
    fn from(step: StepName) -> String {
        step.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_not_parse_back_are_refused() {
        assert_eq!(Name::new("at"), Err(NameError::Reserved("at".into())));
        assert_eq!(Name::new(""), Err(NameError::Length { bytes: 0 }));
        assert_eq!(Name::new("a b"), Err(NameError::Character { name: "a b".into(), found: ' ' }));
        assert_eq!("W1".parse::<StepName>(), Err(NameError::NotAStep("W1".into())));
        assert!("W1/2/3".parse::<StepName>().is_err());
    }

    #[test]
    fn workers_and_executions_have_short_names() {
        assert_eq!(Name::worker(1).as_str(), "B");
        assert_eq!(Name::worker(27).as_str(), "B1");
        assert_eq!(Name::execution(0).as_str(), "W1");
        assert_eq!(StepName::numbered(&Name::execution(0), 2).to_string(), "W1/2");
    }
}
