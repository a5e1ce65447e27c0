//! See `hydra_fuzz_targets::door`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Err(finding) = hydra_fuzz_targets::door::judge(bytes) {
        panic!("{finding}");
    }
});
