//! See `hydra_fuzz_targets::transitions`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Err(finding) = hydra_fuzz_targets::transitions::judge(bytes) {
        panic!("{finding}");
    }
});
