//! The differential test of the engine's stores, as it stands there: a model of the rows, two stores beside it.
#![allow(missing_docs, reason = "these are tests of the engine; what each is for stands in its file")]

#[path = "../../../engine/tests/store_differential/beside.rs"]
#[allow(dead_code, reason = "what was reached is asked for by the engine's tests only")]
pub mod beside;
#[path = "../../../engine/tests/store_conformance/harness.rs"]
#[allow(dead_code, unexpected_cfgs, reason = "only part of it is needed here, and no PostgreSQL")]
pub mod harness;
#[path = "../../../engine/tests/store_differential/model.rs"]
pub mod model;
#[path = "../../../engine/tests/store_differential/ops.rs"]
#[allow(dead_code, reason = "operations are chosen by bytes here, not by proptest")]
pub mod ops;
