//! Threads for work that can wait: they run when nobody else wants to.

use std::io;
use std::thread::{Builder, JoinHandle};

/// The lowest priority (setpriority(2)): where others want the processor it gets a seventieth of what each of them gets.
const NICEST: i32 = 19;
/// Enough for reading `/proc`, which is what such threads do.
const STACK: usize = 256 * 1_024;

/// Runs this on a thread of its own with the lowest priority, and ends the thread with it. An idle program keeps none.
///
/// # Errors
/// There are no more threads to be had.
pub fn quietly<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> io::Result<JoinHandle<T>> {
    Builder::new().name(name.to_owned()).stack_size(STACK).spawn(move || {
        // On Linux this concerns the calling thread alone. Refused it is as it was.
        let _ = rustix::process::setpriority_process(None, NICEST);
        work()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_quiet_thread_is_nice() {
        let before = rustix::process::getpriority_process(None).unwrap();
        let inside = quietly("quiet", || rustix::process::getpriority_process(None).unwrap()).unwrap();
        assert_eq!(inside.join().unwrap(), NICEST);
        assert_eq!(rustix::process::getpriority_process(None).unwrap(), before);
    }
}
