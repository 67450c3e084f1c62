//! What HTTP costs while nobody asks: nothing, not even a timer.

mod common;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::{Plan, job, wait_for};

/// More than two ticks of actix-http's date, which ticks twice a second.
const STILL: Duration = Duration::from_millis(1_200);

/// The one thread that serves HTTP.
struct Thread(PathBuf);

impl Thread {
    fn find() -> Self {
        let mut threads = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
        let thread = threads.find(|task| fs::read_to_string(task.join("comm")).is_ok_and(|name| name == "http\n"));
        Self(thread.expect("a thread named http"))
    }

    /// How often it has slept and was woken (`voluntary_ctxt_switches` in its status).
    fn wake_ups(&self) -> u64 {
        let status = fs::read_to_string(self.0.join("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.unwrap().trim().parse().unwrap()
    }
}

#[test]
fn the_thread_that_serves_http_is_not_woken_while_nobody_is_connected() {
    Plan::of(vec![job("a", "true")]).run(|site| async move {
        assert_eq!(site.ask("/livez").await.status, 200);
        let thread = Thread::find();
        let begin = thread.wake_ups();
        wait_for("a tick, as long as the service is there", async || thread.wake_ups() >= begin + 3).await;
        let mut last = (begin, Instant::now());
        wait_for("no tick any more", async || {
            let now = thread.wake_ups();
            if now != last.0 {
                last = (now, Instant::now());
            }
            last.1.elapsed() > STILL
        })
        .await;
        assert_eq!(site.get("/livez").await.status, 200, "it wakes up for who comes");
        assert_eq!(site.ask("/livez").await.status, 200);
    });
}
