//! What holds of every textual form: reading never panics, and what was read is written so that it reads back the same.

use std::fmt::Debug;

use crate::Judged;

/// Reads `text`; if it means something, writes that and reads it again. Twice, so that what is written is also written
/// again to the byte.
pub(crate) fn round_trip<T, E>(text: &str, read: impl Fn(&str) -> Result<T, E>, write: impl Fn(&T) -> String) -> Judged
where
    T: PartialEq + Debug,
    E: std::fmt::Display,
{
    let meant = match read(text) {
        Ok(meant) => meant,
        // People read these: one that says nothing helps nobody.
        Err(error) if error.to_string().is_empty() => return Err(format!("{text:?} is refused without a reason")),
        Err(_) => return Ok(()),
    };
    let written = write(&meant);
    match read(&written) {
        Err(error) => Err(format!("{meant:#?}\nis written as\n{written}\nwhich is refused: {error}")),
        Ok(back) if back != meant => Err(format!("{meant:#?}\nis written as\n{written}\nwhich reads\n{back:#?}")),
        Ok(back) if write(&back) != written => Err(format!("{written}\nis written otherwise the second time")),
        Ok(_) => Ok(()),
    }
}
