//! Which orchestrator a command means.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use werkpilot_config::Overrides;

use crate::GlobalOptions;
use crate::failure::{Code, Failure};

/// Where the state is in the current folder or one above it.
const STATE_DIR: &str = ".werkpilot";
/// Where the settings are, if nobody says otherwise.
const CONFIG: &str = "werkpilot.toml";
/// Where the state is if it is nowhere near (file-hierarchy(7)).
const SYSTEM_STATE_DIR: &str = "/var/lib/werkpilot";

/// The settings file: the one that was named, else `werkpilot.toml` in the current folder if it is there.
pub fn config_file(options: &GlobalOptions) -> Option<PathBuf> {
    options.config.clone().or_else(|| Path::new(CONFIG).is_file().then(|| PathBuf::from(CONFIG)))
}

/// Environment and command line as the settings take them.
pub fn overrides(options: &GlobalOptions, set: &[(String, String)]) -> Overrides {
    let text = |value: std::ffi::OsString| value.into_string().ok();
    let env = std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?)));
    let mut cli = set.to_vec();
    cli.extend(options.state_dir.as_ref().map(|dir| ("state.dir".to_owned(), dir.display().to_string())));
    Overrides { env: env.collect(), cli, ..Overrides::default() }
}

/// The state folder of the orchestrator that is meant: the one of `--config`, else `--state-dir` or
/// `WERKPILOT_STATE_DIR`, else the nearest `.werkpilot` upwards from the current folder, else the system's.
pub fn state_dir(options: &GlobalOptions) -> Result<PathBuf, Failure> {
    if options.config.is_some() {
        return of_config(options);
    }
    // For `up` it is one of the settings, so that `config` tells where its value is from.
    let variable = || std::env::var_os("WERKPILOT_STATE_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    if let Some(dir) = options.state_dir.clone().or_else(variable) {
        return Ok(dir);
    }
    // The settings of the current folder may have put it elsewhere; faults in them are the business of `check`.
    let of_settings = config_file(options).and_then(|config| {
        let (settings, ..) = werkpilot_config::load_settings(Some(&config), &overrides(options, &[])).ok()?;
        Some(settings.state.dir).filter(|dir| dir.is_dir())
    });
    let here = std::env::current_dir().ok();
    let nearest = || nearest(here.as_deref()?);
    Ok(of_settings.or_else(nearest).unwrap_or_else(|| PathBuf::from(SYSTEM_STATE_DIR)))
}

fn of_config(options: &GlobalOptions) -> Result<PathBuf, Failure> {
    match werkpilot_config::load_settings(options.config.as_deref(), &overrides(options, &[])) {
        Ok((settings, ..)) => Ok(settings.state.dir),
        Err(faults) => Err(Failure::new(Code::Config, "the settings have faults, so the state folder is not known")
            .report(faults.render(std::io::stderr().is_terminal()))
            .hint("name the state folder by --state-dir, and leave --config out")),
    }
}

fn nearest(from: &Path) -> Option<PathBuf> {
    from.ancestors().map(|folder| folder.join(STATE_DIR)).find(|dir| dir.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_state_folder_upwards_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::create_dir_all(dir.path().join("a/.werkpilot")).unwrap();
        std::fs::create_dir_all(dir.path().join(".werkpilot")).unwrap();
        assert_eq!(nearest(&deep), Some(dir.path().join("a/.werkpilot")));
    }

    #[test]
    fn a_state_folder_that_is_named_is_not_looked_for() {
        let options = GlobalOptions { state_dir: Some("elsewhere".into()), ..GlobalOptions::default() };
        assert_eq!(state_dir(&options).unwrap(), Path::new("elsewhere"));
    }
}
