//! `hydra adapter new`: the skeleton of an adapter.

use std::path::Path;
use std::{fs, io};

/// The language of a driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    /// A Python driver.
    Python,
    /// A TypeScript driver, run by Node.
    Typescript,
    /// A Rust driver.
    Rust,
    /// A Go driver.
    Go,
}

/// Writes the skeleton; answers the files.
pub fn write(folder: &Path, language: Language) -> io::Result<Vec<String>> {
    if folder.join("adapter.toml").exists() {
        return Err(io::Error::other("there is an adapter already"));
    }
    fs::create_dir_all(folder)?;
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (driver, text, manifest) = match language {
        Language::Python => ("driver.py", include_str!("templates/driver.py"), include_str!("templates/python.toml")),
        Language::Typescript => {
            ("driver.mjs", include_str!("templates/driver.mjs"), include_str!("templates/typescript.toml"))
        }
        Language::Rust => ("main.rs", include_str!("templates/main.rs"), include_str!("templates/rust.toml")),
        Language::Go => ("main.go", include_str!("templates/main.go"), include_str!("templates/go.toml")),
    };
    let common = include_str!("templates/common.toml");
    fs::write(folder.join("adapter.toml"), format!("{manifest}{common}").replace("NAME", &name))?;
    fs::write(folder.join(driver), text)?;
    let mut files = vec!["adapter.toml".to_owned(), driver.to_owned()];
    if language == Language::Rust {
        fs::write(folder.join("Cargo.toml"), include_str!("templates/Cargo.toml.txt"))?;
        files.push("Cargo.toml".to_owned());
    }
    if language == Language::Go {
        fs::write(folder.join("go.mod"), "module driver\n\ngo 1.21\n")?;
        files.push("go.mod".to_owned());
    }
    Ok(files)
}
