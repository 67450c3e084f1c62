//! Which file a command means, and what the system's refusal to start it means.

use std::ffi::{CString, OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use werkpilot_core::exit::{SpawnFailure, SpawnFailureKind};
use werkpilot_core::spec::{AgentSpec, Identity, Resource};

use crate::exec::{Failed, Stage};

/// Where a command is looked for if the child has no PATH (confstr(3), `_CS_PATH`).
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// A failure of kind [`SpawnFailureKind::Other`].
pub(crate) fn other(message: impl Into<String>) -> SpawnFailure {
    SpawnFailure { kind: SpawnFailureKind::Other, message: message.into() }
}

fn missing(message: String) -> SpawnFailure {
    SpawnFailure { kind: SpawnFailureKind::Missing, message }
}

/// Text as the kernel takes it.
pub(crate) fn c_string(text: &[u8], what: &str) -> Result<CString, SpawnFailure> {
    CString::new(text).map_err(|_| {
        other(format!("pass {what} `{}`: it has a NUL byte", String::from_utf8_lossy(text).replace('\0', "\\0")))
    })
}

/// The file that `command` means: with a slash as it stands (relative to the child's folder), else the first one on
/// the child's PATH that is executable for anybody.
pub(crate) fn resolve(command: &str, path: Option<&[u8]>, cwd: &Path) -> Result<CString, SpawnFailure> {
    if command.is_empty() {
        return Err(missing("start the command ``: it is empty".to_owned()));
    }
    if command.contains('/') {
        return c_string(command.as_bytes(), "the command");
    }
    let mut not_executable = None;
    for folder in path.unwrap_or(DEFAULT_PATH).split(|byte| *byte == b':') {
        let candidate = Path::new(OsStr::from_bytes(folder)).join(command);
        let Ok(metadata) = std::fs::metadata(cwd.join(&candidate)) else { continue };
        match (metadata.is_file(), metadata.permissions().mode() & 0o111) {
            (false, _) => {}
            (true, 0) => not_executable = not_executable.or(Some(candidate)),
            // A bare name is relative to the folder that the child is in by then, as `./name` would be.
            (true, _) => return c_string(candidate.as_os_str().as_bytes(), "the command"),
        }
    }
    Err(match not_executable {
        Some(file) => missing(format!("start `{}`: it is not executable; chmod +x it", file.display())),
        None => missing(format!(
            "find the command `{command}` on the agent's PATH ({}); install it, or give its whole path",
            String::from_utf8_lossy(path.unwrap_or(DEFAULT_PATH))
        )),
    })
}

/// Whether the command of an agent can be found, as a start would look for it. Nothing is started; what can't be known
/// before a start counts as found.
///
/// # Errors
/// What a start would say: [`SpawnFailureKind::Missing`], naming the file.
pub fn find_command(spec: &AgentSpec) -> Result<(), SpawnFailure> {
    let argv = spec.program.argv();
    let Some(command) = argv.first() else { return Ok(()) };
    if !command.contains('/') {
        let path = match spec.environment.set.get("PATH") {
            Some(path) => Some(OsString::from(path)),
            // Its own file may set one.
            None if spec.environment.file.is_some() => return Ok(()),
            None => std::env::var_os("PATH"),
        };
        return resolve(command, path.as_deref().map(OsStr::as_bytes), &spec.cwd).map(drop);
    }
    let place = spec.cwd.join(command);
    match std::fs::metadata(&place) {
        Ok(found) if found.is_dir() => Err(missing(format!("start `{command}`: it is a folder"))),
        Ok(found) if found.permissions().mode() & 0o111 == 0 => {
            Err(missing(format!("start `{command}`: it is not executable; chmod +x it")))
        }
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(missing(format!("start `{}`: no such file", place.display())))
        }
        // Whom it runs as may see more than we do.
        _ => Ok(()),
    }
}

/// What a failed system call before the clone means.
pub(crate) fn from_os(what: &str, errno: i32) -> SpawnFailure {
    let error = std::io::Error::from_raw_os_error(errno);
    match errno {
        libc::EAGAIN | libc::ENOMEM => transient(format!("{what}: {error}; processes or memory are short (ulimit -u)")),
        libc::EMFILE | libc::ENFILE => transient(format!("{what}: {error}; raise the limit of open files (ulimit -n)")),
        _ => other(format!("{what}: {error}")),
    }
}

fn transient(message: String) -> SpawnFailure {
    SpawnFailure { kind: SpawnFailureKind::Transient, message }
}

/// What a failed start means for `spec`, of which `file` was to be executed.
pub(crate) fn from_failed(failed: Failed, file: &CString, spec: &AgentSpec) -> SpawnFailure {
    let error = std::io::Error::from_raw_os_error(failed.errno);
    let file = file.to_string_lossy();
    match failed.stage {
        Stage::Clone | Stage::Files => from_os(&format!("start `{file}`"), failed.errno),
        Stage::Limits => {
            other(format!("set limits for `{file}`: {error}; a hard limit can only be lowered without root"))
        }
        Stage::Nice => other(format!("set nice for `{file}`: {error}; a negative one needs root")),
        Stage::Credentials => other(format!(
            "start `{file}` as user {} group {}: {error}; only root can start programs as somebody else",
            spec.identity.user.as_deref().unwrap_or("-"),
            spec.identity.group.as_deref().unwrap_or("-"),
        )),
        Stage::Directory => {
            other(format!("enter the folder `{}`: {error}; create it, or correct `cwd`", spec.cwd.display()))
        }
        Stage::NoNewPrivileges => other(format!("set no_new_privs for `{file}`: {error}")),
        Stage::Exec => from_exec(failed.errno, &file, &spec.cwd),
    }
}

fn from_exec(errno: i32, file: &str, cwd: &Path) -> SpawnFailure {
    let error = std::io::Error::from_raw_os_error(errno);
    let place: PathBuf = cwd.join(file);
    match errno {
        libc::ENOENT if place.exists() => {
            missing(format!("start `{file}`: the interpreter in its first line was not found"))
        }
        libc::ENOENT | libc::ENOTDIR => missing(format!("start `{}`: no such file", place.display())),
        libc::EACCES if place.is_dir() => missing(format!("start `{file}`: it is a folder")),
        libc::EACCES => missing(format!("start `{file}`: {error}; chmod +x it, and check the folders above it")),
        libc::ENOEXEC => {
            missing(format!("start `{file}`: bad format; a script needs #!/bin/sh or the like as its first line"))
        }
        libc::ETXTBSY => transient(format!("start `{file}`: somebody is writing to it")),
        libc::E2BIG => other(format!("start `{file}`: arguments and environment are too long together")),
        _ => from_os(&format!("start `{file}`"), errno),
    }
}

/// The limits to be set, as (resource, soft, hard). Ours of open files is undone unless the spec names one.
pub(crate) fn limits(identity: &Identity) -> Vec<(u32, u64, u64)> {
    let number = |resource| match resource {
        Resource::As => libc::RLIMIT_AS,
        Resource::Core => libc::RLIMIT_CORE,
        Resource::Cpu => libc::RLIMIT_CPU,
        Resource::Data => libc::RLIMIT_DATA,
        Resource::Fsize => libc::RLIMIT_FSIZE,
        Resource::Memlock => libc::RLIMIT_MEMLOCK,
        Resource::Nofile => libc::RLIMIT_NOFILE,
        Resource::Nproc => libc::RLIMIT_NPROC,
        Resource::Stack => libc::RLIMIT_STACK,
    };
    let mut limits: Vec<_> = identity.limits.iter().map(|(name, value)| (number(*name), *value, *value)).collect();
    if !identity.limits.contains_key(&Resource::Nofile)
        && let Some((soft, hard)) = crate::limits::of_children()
    {
        limits.push((libc::RLIMIT_NOFILE, soft, hard));
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_looked_for_on_the_childs_path() {
        let folder = tempfile::tempdir().unwrap();
        let tool = folder.path().join("tool");
        std::fs::write(&tool, "#!/bin/sh\n").unwrap();
        let path = format!("/nowhere:{}", folder.path().display());
        let failure = resolve("tool", Some(path.as_bytes()), Path::new("/")).unwrap_err();
        assert_eq!(failure.kind, SpawnFailureKind::Missing);
        assert!(failure.message.contains("not executable"), "{}", failure.message);

        std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
        let found = resolve("tool", Some(path.as_bytes()), Path::new("/")).unwrap();
        assert_eq!(found.to_str().unwrap(), tool.to_str().unwrap());
    }

    #[test]
    fn a_command_can_be_looked_for_without_a_start() {
        let folder = tempfile::tempdir().unwrap();
        let tool = folder.path().join("tool");
        let name = werkpilot_core::ids::AgentName::new("a").unwrap();
        let command = |argv: &str| {
            let program = werkpilot_core::spec::Program::Command(vec![argv.to_owned()]);
            let mut spec = AgentSpec::job_named(name.clone(), program);
            spec.cwd = folder.path().to_owned();
            spec.environment.set.insert("PATH".to_owned(), folder.path().display().to_string());
            find_command(&spec).map_err(|failure| failure.message.replace(&folder.path().display().to_string(), "X"))
        };
        assert_eq!(command("./tool"), Err("start `X/./tool`: no such file".to_owned()));
        assert_eq!(command("/"), Err("start `/`: it is a folder".to_owned()));
        assert!(command("tool").unwrap_err().starts_with("find the command `tool`"));
        std::fs::write(&tool, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(command("./tool").unwrap_err().contains("chmod +x"));
        std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!((command("./tool"), command("tool")), (Ok(()), Ok(())));
        let shell = AgentSpec::job_named(name.clone(), werkpilot_core::spec::Program::Shell("no-such".to_owned()));
        assert_eq!(find_command(&shell), Ok(()), "what a shell makes of its line is its own business");
        assert_eq!(find_command(&AgentSpec::job_named(name, werkpilot_core::spec::Program::InProcess)), Ok(()));
    }

    #[test]
    fn a_name_with_a_slash_stays_as_it_is() {
        assert_eq!(resolve("./x", None, Path::new("/")).unwrap().to_str().unwrap(), "./x");
    }

    #[test]
    fn an_unknown_name_says_where_it_was_looked_for() {
        let failure = resolve("no-such-command", Some(b"/bin"), Path::new("/")).unwrap_err();
        assert_eq!(
            failure.message,
            "find the command `no-such-command` on the agent's PATH (/bin); install it, or give its whole path"
        );
    }

    #[test]
    fn shortage_is_transient_and_the_rest_is_not() {
        let kinds = [
            (libc::EAGAIN, SpawnFailureKind::Transient),
            (libc::EMFILE, SpawnFailureKind::Transient),
            (libc::ENFILE, SpawnFailureKind::Transient),
            (libc::ENOMEM, SpawnFailureKind::Transient),
            (libc::EPERM, SpawnFailureKind::Other),
        ];
        for (errno, kind) in kinds {
            assert_eq!(from_os("start `x`", errno).kind, kind);
            assert_eq!(from_exec(errno, "x", Path::new("/")).kind, kind);
        }
        for errno in [libc::ENOENT, libc::EACCES, libc::ENOEXEC] {
            assert_eq!(from_exec(errno, "x", Path::new("/")).kind, SpawnFailureKind::Missing);
        }
    }
}
