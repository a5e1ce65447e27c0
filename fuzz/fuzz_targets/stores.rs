//! See `hydra_fuzz_targets::stores`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Err(finding) = hydra_fuzz_targets::stores::judge(bytes) {
        panic!("{finding}");
    }
});
