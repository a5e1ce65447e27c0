//! See `hydra_fuzz_targets::schedule`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Err(finding) = hydra_fuzz_targets::schedule::judge(bytes) {
        panic!("{finding}");
    }
});
