//! The clients: this program again, as a process of its own, under the hidden command `client ROLE ADDRESS …`.
//!
//! A *helper* says `ready` and works until it is dropped; a *measuring* client prints figures and ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use super::{fanout, flood, inside, memory, raw, stock};
use crate::support::{Figures, figures};

/// The bench's allocator is built as the orchestrator's, one arena that gives everything back at once. Clients get what
/// other programs have, so that they do not stand in the way of what is measured.
const ALLOCATOR: (&str, &str) = ("_RJEM_MALLOC_CONF", "narenas:4,dirty_decay_ms:10000,muzzy_decay_ms:10000");

/// Runs the client that the arguments name.
pub fn client(arguments: &[String]) {
    let text = |index: usize| arguments.get(index).map(String::as_str).expect("an argument");
    let number = |index: usize| text(index).parse().expect("a number");
    let address = text(1);
    match text(0) {
        "stock-responder" => stock::responder(address),
        "stock-requester" => stock::requester(address, number(2), number(3), number(4)),
        "raw-responder" => raw::responder(address),
        "raw-requester" => raw::requester(address, number(2), number(3), number(4)),
        "subscribers" => fanout::subscribers(address, number(2), number(3)),
        "publisher" => fanout::publisher(address, number(2), number(3), number(4)),
        "flooder" => flood::flooder(address),
        "idle" => memory::idle(address, number(2)),
        "subscriptions" => memory::subscriptions(address, number(2), number(3)),
        "silent" => memory::silent(address),
        "asker" => memory::asker(address, number(2)),
        "inside" => inside::inside(),
        other => panic!("there is no client {other}"),
    }
}

fn command(role: &str, address: &str, numbers: &[usize]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("our own path"));
    command.args(["client", role, address]).args(numbers.iter().map(usize::to_string)).env(ALLOCATOR.0, ALLOCATOR.1);
    command
}

/// Runs a measuring client.
pub fn measure(role: &str, address: &str, numbers: &[usize]) -> Figures {
    figures(command(role, address, numbers).stdin(Stdio::null()))
}

/// A working client, ended when dropped.
pub struct Helper {
    child: Child,
}

impl Helper {
    /// Starts it, and waits until it is ready.
    pub fn start(role: &str, address: &str, numbers: &[usize]) -> Self {
        let mut command = command(role, address, numbers);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the client starts");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("its output");
        BufReader::new(stdout).read_line(&mut line).expect("text");
        assert!(line.trim() == "ready", "the client {role} is not ready: {line}");
        Self { child }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Said by a helper once it does its work. From then on it ends with its parent, whose end closes our stdin.
pub fn ready() {
    let mut out = std::io::stdout();
    writeln!(out, "ready").and_then(|()| out.flush()).expect("the bench listens");
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
}

/// For helpers that have nothing more to do than to be there.
pub fn stay() -> ! {
    loop {
        std::thread::park();
    }
}
