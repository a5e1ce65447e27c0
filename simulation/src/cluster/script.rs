//! stub
/// x
pub struct ScriptError;
