//! A registry in a folder that goes away.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use werkpilot_config::{Faults, Loaded, Overrides, load};

pub struct Folder {
    root: TempDir,
}

impl Folder {
    /// A folder with these files; those named `werkpilot.toml` lie beside the registry, all others in it.
    pub fn with(files: &[(&str, &str)]) -> Self {
        let folder = Self { root: TempDir::new().unwrap() };
        fs::create_dir(folder.registry()).unwrap();
        for (name, text) in files {
            fs::write(folder.path(name), text).unwrap();
        }
        folder
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn registry(&self) -> PathBuf {
        self.root().join("registry")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        if name == "werkpilot.toml" { self.root().join(name) } else { self.registry().join(name) }
    }

    pub fn load(&self) -> Result<Loaded, Faults> {
        self.load_with(&Overrides::default())
    }

    pub fn load_with(&self, overrides: &Overrides) -> Result<Loaded, Faults> {
        let config = self.path("werkpilot.toml");
        load(Some(&self.registry()), config.is_file().then_some(config.as_path()), overrides)
    }

    /// The faults as people see them, with the folder's name taken out.
    pub fn faults(&self) -> String {
        self.faults_with(&Overrides::default())
    }

    pub fn faults_with(&self, overrides: &Overrides) -> String {
        self.tidy(&self.load_with(overrides).expect_err("faults").render(false))
    }

    pub fn tidy(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.root().display()), "").replace(&self.root().display().to_string(), ".")
    }
}

/// The faults of a single file.
pub fn faults_of(text: &str) -> String {
    Folder::with(&[("a.toml", text)]).faults()
}

/// What a single file becomes.
pub fn loaded(text: &str) -> Loaded {
    Folder::with(&[("a.toml", text)]).load().unwrap_or_else(|faults| panic!("{}", faults.render(false)))
}

pub fn env(pairs: &[(&str, &str)]) -> Overrides {
    Overrides { env: owned(pairs), ..Overrides::default() }
}

pub fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
