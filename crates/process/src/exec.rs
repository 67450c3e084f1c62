//! From a plan to a running program: clone, a few system calls in the child, exec.
//!
//! The child shares our memory until it execs (`CLONE_VM`), and the calling thread sleeps meanwhile (`CLONE_VFORK`), as
//! in glibc's `posix_spawn(3)`. So the cost does not depend on how much memory we use (fork: 46 ms at 2 GB). Three rules
//! keep that safe: the child has a stack of its own, all signals are blocked around it, and it makes only system calls
//! and writes only to [`Outcome`].
//!
//! The child also shares our table of descriptors at first (`CLONE_FILES`), and its first act is to leave it with
//! `close_range(CLOSE_RANGE_UNSHARE)`, which copies only the descriptors below the given one. With thousands of pipes
//! open, copying them all and closing them again at exec would cost more than the rest of the start. This is why a plan
//! names the highest descriptor that the child needs, and why spawners keep a few low ones (see [`crate::spawner`]).

use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use crate::sys::{RawAction, SIGNAL_SET};

/// All that the child does, prepared so that it only has to make system calls.
pub(crate) struct Plan {
    /// The file to execute: absolute or relative to `cwd`.
    pub path: CString,
    /// Its arguments.
    pub argv: Vec<CString>,
    /// Its environment.
    pub env: Vec<CString>,
    /// Its folder.
    pub cwd: CString,
    /// What becomes 0, 1 and 2; all of them are above 2.
    pub stdio: [RawFd; 3],
    /// File mode creation mask.
    pub umask: Option<u32>,
    /// Niceness.
    pub nice: Option<i32>,
    /// Resource, soft and hard limit.
    pub limits: Vec<(u32, u64, u64)>,
    /// As whom, if not as we.
    pub credentials: Option<Credentials>,
    /// Whether `no_new_privs` is set.
    pub no_new_privileges: bool,
}

/// As whom a program runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
}

/// Where a start failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stage {
    Clone = 1,
    Files,
    Limits,
    Nice,
    Credentials,
    Directory,
    NoNewPrivileges,
    Exec,
}

/// A start that failed: where, and the number that the system gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    pub stage: Stage,
    pub errno: i32,
}

/// What the child says before it ends itself.
struct Outcome(Option<Failed>);

/// All that the child reads, and the one thing that it writes.
struct Task<'a> {
    plan: &'a Plan,
    argv: *const *const c_char,
    envp: *const *const c_char,
    keep_below: c_uint,
    ignored: &'a [c_int],
    outcome: Outcome,
}

/// The stack of the child. One per spawner is enough, since the spawner sleeps while the child uses it.
pub(crate) struct Stack(Box<[u128]>);

impl Stack {
    /// 32 KiB: the child calls nothing but system call wrappers, glibc itself takes 32 KiB for the same.
    pub fn new() -> Self {
        Self(vec![0; 32 * 1024 / size_of::<u128>()].into_boxed_slice())
    }
}

/// Starts the program and returns its pid and a descriptor of it, once it has been executed. All signals but SIGCHLD
/// must be blocked in this thread; `ignored` are further signals to be reset.
pub(crate) fn spawn(plan: &Plan, stack: &mut Stack, ignored: &[c_int]) -> Result<(i32, OwnedFd), Failed> {
    let pointers = |texts: &[CString]| -> Vec<*const c_char> {
        texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (argv, envp) = (pointers(&plan.argv), pointers(&plan.env));
    let highest = plan.stdio.iter().copied().max().unwrap_or(2);
    let mut task = Task {
        plan,
        argv: argv.as_ptr(),
        envp: envp.as_ptr(),
        keep_below: c_uint::try_from(highest).unwrap_or(2) + 1,
        ignored,
        outcome: Outcome(None),
    };
    let mut pidfd: c_int = -1;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES | libc::CLONE_PIDFD | libc::SIGCHLD;
    let top = stack.0.as_mut_ptr_range().end;
    // SAFETY: the stack is ours, aligned to 16, and grows down from its end. `task` outlives the child's use of it,
    // because CLONE_VFORK suspends this thread until the child has executed a program or ended. The fifth argument is
    // where CLONE_PIDFD puts the descriptor.
    let pid =
        unsafe { libc::clone(child, top.cast::<c_void>(), flags, (&raw mut task).cast::<c_void>(), &raw mut pidfd) };
    if pid == -1 {
        let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
        return Err(Failed { stage: Stage::Clone, errno });
    }
    // SAFETY: clone succeeded, so the kernel has put a new descriptor there that nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    // SAFETY: a plain read of what the child may have written through its own pointer.
    match unsafe { (&raw const task.outcome.0).read_volatile() } {
        None => Ok((pid, pidfd)),
        Some(failed) => {
            crate::sys::wait_for_failed_child(pid);
            Err(failed)
        }
    }
}

/// The child. Runs on its own stack in our memory; never returns to our code.
extern "C" fn child(argument: *mut c_void) -> c_int {
    // SAFETY: the argument is the `Task` of `spawn`, which sleeps until we are done with it.
    let task = unsafe { &mut *argument.cast::<Task<'_>>() };
    // SAFETY: we are the child of a clone with its own signal handlers, limits and credentials, as `become_program` asks.
    let failed = unsafe { become_program(task) };
    task.outcome.0 = Some(failed);
    // SAFETY: _exit runs no handlers and flushes nothing.
    unsafe { libc::_exit(127) }
}

/// `Err` with the current errno if the call failed.
fn check(stage: Stage, result: impl Into<i64>) -> Result<(), Failed> {
    if result.into() >= 0 { Ok(()) } else { Err(failure(stage)) }
}

/// The current errno.
fn failure(stage: Stage) -> Failed {
    // SAFETY: errno is this thread's own; the thread sleeps, so the child may use it.
    Failed { stage, errno: unsafe { *libc::__errno_location() } }
}

/// Everything between clone and exec; returns only on failure.
///
/// # Safety
/// Only in the child of a clone without `CLONE_SIGHAND`. Makes system calls only: no locks, no allocation.
unsafe fn become_program(task: &Task<'_>) -> Failed {
    // SAFETY: as the caller promises.
    if let Err(failed) = unsafe { prepare(task) } {
        return failed;
    }
    // SAFETY: path, arguments and environment are terminated, and live in the sleeping parent.
    unsafe { libc::execve(task.plan.path.as_ptr(), task.argv, task.envp) };
    failure(Stage::Exec)
}

/// # Safety
/// As [`become_program`].
unsafe fn prepare(task: &Task<'_>) -> Result<(), Failed> {
    let plan = task.plan;
    // SAFETY: system calls on this process alone, with pointers into `task`, which outlives them. The raw calls for
    // groups, gid and uid are on purpose: glibc's wrappers would signal all threads of the parent.
    unsafe {
        if libc::syscall(libc::SYS_close_range, task.keep_below, c_uint::MAX, libc::CLOSE_RANGE_UNSHARE) == -1 {
            // Before Linux 5.9: copy the whole table.
            check(Stage::Files, libc::unshare(libc::CLONE_FILES))?;
        }
        reset_signals(task.ignored);
        libc::setsid();
        for (target, source) in (0..).zip(plan.stdio) {
            check(Stage::Files, libc::dup2(source, target))?;
        }
        // All our own descriptors are close-on-exec anyway: this is for those of libraries. Fails before Linux 5.11.
        libc::syscall(libc::SYS_close_range, 3, c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
        if let Some(mask) = plan.umask {
            libc::umask(mask);
        }
        if let Some(nice) = plan.nice {
            check(Stage::Nice, libc::setpriority(libc::PRIO_PROCESS, 0, nice))?;
        }
        for (resource, soft, hard) in &plan.limits {
            let limit = libc::rlimit64 { rlim_cur: *soft, rlim_max: *hard };
            check(Stage::Limits, libc::prlimit64(0, *resource, &raw const limit, std::ptr::null_mut()))?;
        }
        if let Some(who) = &plan.credentials {
            check(Stage::Credentials, libc::syscall(libc::SYS_setgroups, who.groups.len(), who.groups.as_ptr()))?;
            check(Stage::Credentials, libc::syscall(libc::SYS_setresgid, who.gid, who.gid, who.gid))?;
            check(Stage::Credentials, libc::syscall(libc::SYS_setresuid, who.uid, who.uid, who.uid))?;
        }
        check(Stage::Directory, libc::chdir(plan.cwd.as_ptr()))?;
        if plan.no_new_privileges {
            check(Stage::NoNewPrivileges, libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
        }
        let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
    }
    Ok(())
}

/// Sets all signals to their default, so that none of our handlers can run in the child, and none stays ignored.
///
/// # Safety
/// As [`become_program`].
unsafe fn reset_signals(ignored: &[c_int]) {
    let standard = (1..32).filter(|signal| !matches!(*signal, libc::SIGKILL | libc::SIGSTOP));
    let default: RawAction = [0; 8];
    for signal in standard.chain(ignored.iter().copied()) {
        let none = std::ptr::null_mut::<RawAction>();
        // SAFETY: the action is valid for reads; the child has a table of handlers of its own.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, &raw const default, none, SIGNAL_SET) };
    }
}
