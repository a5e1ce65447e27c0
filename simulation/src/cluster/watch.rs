//! stub
/// x
pub struct Watch;
