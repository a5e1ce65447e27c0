//! The differential test of the engine's stores, as it stands there: a model of the rows, two stores beside it.

#[path = "../../../engine/tests/store_differential/beside.rs"]
#[allow(dead_code, reason = "what was reached is asked for by the engine's tests only")]
pub mod beside;
#[path = "../../../engine/tests/store_conformance/harness.rs"]
#[expect(dead_code, unexpected_cfgs, reason = "only part of it is needed here, and no PostgreSQL")]
pub mod harness;
#[path = "../../../engine/tests/store_differential/model.rs"]
pub mod model;
#[path = "../../../engine/tests/store_differential/ops.rs"]
#[expect(dead_code, reason = "operations are chosen by bytes here, not by proptest")]
pub mod ops;
