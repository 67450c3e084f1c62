//! System calls that have no safe wrapper elsewhere. Each function is one call.

use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

/// What wait4(2) tells of an ended child.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reaped {
    /// The status word of wait(2).
    pub status: i32,
    /// Largest resident memory, bytes.
    pub max_rss: u64,
    /// User and system time.
    pub cpu: Duration,
}

fn duration(time: libc::timeval) -> Duration {
    Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0))
        + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
}

/// Bytes from the kilobytes of `ru_maxrss`.
fn max_rss(usage: &libc::rusage) -> u64 {
    u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024
}

/// Reaps `pid` (or a member of group `-pid`) if it has ended; `None` if it has not.
///
/// # Errors
/// There is no such child.
pub(crate) fn reap(pid: i32) -> io::Result<Option<(i32, Reaped)>> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are valid for writes, and WNOHANG never blocks.
    let got = unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG, usage.as_mut_ptr()) };
    match got {
        -1 => return Err(io::Error::last_os_error()),
        0 => return Ok(None),
        _ => {}
    }
    // SAFETY: rusage consists of integers, for which zeroes are valid, and wait4 filled it in.
    let usage = unsafe { usage.assume_init() };
    let cpu = duration(usage.ru_utime) + duration(usage.ru_stime);
    Ok(Some((got, Reaped { status, max_rss: max_rss(&usage), cpu })))
}

/// Waits for the end of `pid`, which is about to come.
pub(crate) fn wait_for_failed_child(pid: i32) {
    let mut status = 0;
    // SAFETY: the pointer is valid for writes.
    while unsafe { libc::waitpid(pid, &raw mut status, 0) } == -1
        && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
}

/// Whether some child of ours has ended and was not reaped yet.
pub(crate) fn some_child_ended() -> bool {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the pointer is valid for writes; zeroes are a valid siginfo_t, of which waitid fills in the pid.
    unsafe { libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), flags) == 0 && info.assume_init().si_pid() != 0 }
}

/// Our own peak of resident memory, bytes.
pub(crate) fn own_max_rss() -> u64 {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is valid for writes; zeroes are a valid rusage if the call failed.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    max_rss(&usage)
}

/// kill(2): `target` is a pid, or a group's negated; 0 and -1 (everybody) are refused. Whether anybody was there.
pub(crate) fn kill(target: i32, signal: i32) -> bool {
    assert!(!(-1..=1).contains(&target), "a signal needs a single process or group");
    // SAFETY: kill takes no pointers.
    let sent = unsafe { libc::kill(target, signal) } == 0;
    // EPERM: somebody is there whom we may not signal.
    sent || io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

/// Blocks all signals for this thread, but for SIGCHLD.
///
/// A thread that blocks SIGCHLD would make the kernel queue it and wake another thread, only to throw it away there.
pub(crate) fn block_signals() {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset initialises the set; the other calls read it.
    unsafe {
        libc::sigfillset(set.as_mut_ptr());
        libc::sigdelset(set.as_mut_ptr(), libc::SIGCHLD);
        libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut());
    }
}

/// Sets SIGCHLD to its default: were it inherited as ignored, the kernel would throw away exit statuses.
pub(crate) fn keep_exit_statuses() {
    // SAFETY: SIG_DFL needs no handler.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// The kernel's sigaction: handler, flags, restorer and mask, with room to spare for any architecture. All zeroes are
/// `SIG_DFL`. The raw call is needed because glibc hides the signals that it uses itself (32 and 33).
pub(crate) type RawAction = [usize; 8];

/// Bytes of the kernel's signal set.
pub(crate) const SIGNAL_SET: usize = 8;

/// Those signals above the standard ones that we were started with as ignored; the child has to reset them.
pub(crate) fn ignored_realtime_signals() -> Vec<i32> {
    let ignored = |signal: i32| {
        let mut action: RawAction = [0; 8];
        let (none, action_out) = (std::ptr::null::<RawAction>(), &raw mut action);
        // SAFETY: a null new action only asks; there is room for the old one.
        let asked = unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, none, action_out, SIGNAL_SET) } == 0;
        asked && action[0] == libc::SIG_IGN
    };
    (32..=64).filter(|signal| ignored(*signal)).collect()
}
