//! The C reference loops: compiled here, run as processes of their own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Figures, figures};

/// The compiled reference program.
pub struct References {
    program: PathBuf,
    _dir: tempfile::TempDir,
}

/// Compiles the reference program with the C compiler.
pub fn build() -> References {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let program = dir.path().join("reference");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("reference/reference.c");
    let compiled = Command::new("cc").args(["-O2", "-o"]).arg(&program).arg(source).status();
    assert!(compiled.is_ok_and(|status| status.success()), "failed to compile the reference loops with cc");
    References { program, _dir: dir }
}

impl References {
    /// The program, for children that have to be the same on both sides.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Runs one reference loop.
    pub fn run(&self, arguments: &[&str]) -> Figures {
        figures(Command::new(&self.program).args(arguments))
    }
}
