//! See `hydra_fuzz_targets::hostile_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Err(finding) = hydra_fuzz_targets::hostile_file::judge(bytes) {
        panic!("{finding}");
    }
});
