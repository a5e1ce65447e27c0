//! Compiles the library that makes a worker's clock jump: it is loaded into foreign processes, so it is a program of its
//! own, without the standard library, and is carried in the auditor as bytes.

use std::path::Path;
use std::process::Command;

const SOURCE: &str = "preload/clock.rs";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={SOURCE}");
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
    let library = Path::new(&variable("OUT_DIR")).join("clock.so");
    let mut compiler = Command::new(variable("RUSTC"));
    compiler.args(["--crate-name", "hydra_clock", "--crate-type", "cdylib", "--edition", "2024", "-D", "warnings"]);
    compiler.args(["-C", "panic=abort", "-C", "opt-level=2", "-C", "strip=symbols", "--target", &variable("TARGET")]);
    if let Ok(linker) = std::env::var("RUSTC_LINKER") {
        compiler.args(["-C", &format!("linker={linker}")]);
    }
    let compiled = compiler.arg(SOURCE).arg("-o").arg(&library).status();
    assert!(compiled.is_ok_and(|status| status.success()), "{SOURCE} cannot be compiled: {compiler:?}");
}
