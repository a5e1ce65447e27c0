//! JSON lines: a header, then one record a line.

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

use super::{Header, History, Record};

/// The version of the form, in the header.
pub const VERSION: u32 = 1;

/// The longest line that is read, in bytes. A subject may print anything; the reader must not be made to hold it all.
const LINE_MAX: u64 = 4 << 20;

#[derive(Serialize, Deserialize)]
struct Versioned<H> {
    hydra_history: u32,
    #[serde(flatten)]
    header: H,
}

/// Why a text is no history.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The file could not be read.
    #[error("line {line}: {error}")]
    Read {
        /// The line, from 1.
        line: usize,
        /// What went wrong.
        error: io::Error,
    },
    /// The first line is no header.
    #[error("line 1: no header of a history: {error}")]
    Header {
        /// What is wrong with it.
        error: serde_json::Error,
    },
    /// The version is not ours.
    #[error("line 1: version {found} of the history; this program reads version {VERSION}")]
    Version {
        /// The version found.
        found: u32,
    },
    /// A line is no record.
    #[error("line {line}: no record: {error}")]
    Record {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        error: serde_json::Error,
    },
    /// A line is too long to be ours.
    #[error("line {line}: longer than {LINE_MAX} bytes")]
    LineTooLong {
        /// The line, from 1.
        line: usize,
    },
}

impl Header {
    /// The first line of a history, without a line break.
    pub fn to_line(&self) -> String {
        let versioned = Versioned { hydra_history: VERSION, header: self };
        serde_json::to_string(&versioned).expect("a header holds nothing that JSON cannot")
    }
}

impl Record {
    /// The record's line, without a line break.
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).expect("a record holds nothing that JSON cannot")
    }
}

impl History {
    /// Writes all of it. A long run may write [`Header::to_line`] and each [`Record::to_line`] as they come.
    pub fn write(&self, mut out: impl Write) -> io::Result<()> {
        writeln!(out, "{}", self.header.to_line())?;
        for record in &self.records {
            writeln!(out, "{}", record.to_line())?;
        }
        Ok(())
    }

    /// All of it as text.
    pub fn to_text(&self) -> String {
        let mut out = Vec::new();
        self.write(&mut out).expect("a Vec takes whatever is written");
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    /// Reads all of it; blank lines are skipped.
    pub fn read(mut input: impl BufRead) -> Result<Self, HistoryError> {
        let mut buffer = String::new();
        let mut header = None;
        let mut records = Vec::new();
        for line in 1.. {
            buffer.clear();
            let limited = &mut io::Read::take(&mut input, LINE_MAX);
            let bytes = limited.read_line(&mut buffer).map_err(|error| HistoryError::Read { line, error })?;
            if bytes == 0 {
                break;
            }
            if bytes as u64 == LINE_MAX {
                return Err(HistoryError::LineTooLong { line });
            }
            match &header {
                None => header = Some(read_header(&buffer)?),
                Some(_) if buffer.trim().is_empty() => {}
                Some(_) => {
                    records.push(serde_json::from_str(&buffer).map_err(|error| HistoryError::Record { line, error })?);
                }
            }
        }
        match header {
            Some(header) => Ok(History { header, records }),
            None => read_header("").map(|header| History { header, records }),
        }
    }
}

fn read_header(line: &str) -> Result<Header, HistoryError> {
    // The version first: another version's header may have other fields.
    #[derive(Deserialize)]
    struct Version {
        hydra_history: u32,
    }
    let version: Version = serde_json::from_str(line).map_err(|error| HistoryError::Header { error })?;
    if version.hydra_history != VERSION {
        return Err(HistoryError::Version { found: version.hydra_history });
    }
    let mut fields: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(line).map_err(|error| HistoryError::Header { error })?;
    fields.remove("hydra_history");
    serde_json::from_value(fields.into()).map_err(|error| HistoryError::Header { error })
}
