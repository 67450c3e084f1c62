//! `werkpilot top` in a real terminal: what it shows, what its keys do, and that it gives the terminal back.

use std::path::{Path, PathBuf};
use std::process::Command;

use werkpilot_tests::{Werkpilot, wait_until};

const FLEET: &str = "[[agent]]\nname = \"agent-db\"\nready = { after = \"10ms\" }\n\
    shell = \"echo ready to serve; printf 'evil \\\\033[2J line\\\\n'; exec sleep 1000\"\n\
    [[agent]]\nname = \"agent-invoices\"\nkind = \"job\"\nretry = { max = 0 }\nshell = \"echo no figures; exit 3\"\n\
    [[agent]]\nname = \"agent-sales\"\nkind = \"job\"\ncommand = [\"true\"]\n";

/// A terminal of tmux, with a server of its own.
struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    /// A shell that runs `top`, and says when it is back.
    fn of(fleet: &Werkpilot) -> Self {
        let terminal = Self { socket: fleet.dir().join("tmux") };
        let top = fleet.cli_command(&["top", "--interval", "0.2"]);
        let quoted = |text: &std::ffi::OsStr| format!("'{}'", text.to_str().expect("a plain path"));
        let words: Vec<String> = std::iter::once(top.get_program()).chain(top.get_args()).map(quoted).collect();
        let line = format!("{}; echo it ended with $?; exec cat", words.join(" "));
        let folder = fleet.dir().to_str().expect("a plain path");
        let size = ["-x", "120", "-y", "30"];
        terminal.tmux(&[&["-u", "-f", "/dev/null", "new-session", "-d", "-c", folder][..], &size, &[&line]].concat());
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux").arg("-S").arg(&self.socket).args(arguments).output().expect("tmux");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn press(&self, keys: &[&str]) {
        let arguments: Vec<&str> = ["send-keys"].iter().chain(keys).copied().collect();
        self.tmux(&arguments);
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    #[track_caller]
    fn wait_for(&self, text: &str) {
        let mut screen = String::new();
        let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_until(text, || {
                screen = self.screen();
                screen.contains(text)
            });
        }));
        assert!(seen.is_ok(), "no {text} on the screen:\n{screen}");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
        let gone = |socket: &Path| {
            !Command::new("tmux").arg("-S").arg(socket).arg("ls").output().expect("tmux").status.success()
        };
        wait_until("the end of tmux", || gone(&self.socket));
    }
}

#[test]
fn top_shows_the_fleet_acts_on_it_and_gives_the_terminal_back() {
    let fleet = Werkpilot::start(&[("fleet.toml", FLEET)], "");
    assert_eq!(fleet.run("agent-invoices")["end"], "failed");
    let terminal = Terminal::of(&fleet);
    // What needs attention is on top, with its reason.
    terminal.wait_for("agent-invoices  error");
    assert!(terminal.screen().contains("exited with code 3"), "{}", terminal.screen());
    terminal.press(&["w"]);
    terminal.wait_for("Why agent-invoices");
    terminal.press(&["Enter", "4"]);
    terminal.wait_for("1×");
    terminal.press(&["D"]);
    terminal.wait_for("Throw dead letter 1 of agent-invoices away?");
    terminal.press(&["y"]);
    terminal.wait_for("No dead letters.");
    terminal.press(&["3", "/", "discarded", "Enter"]);
    terminal.wait_for("Dead letter 1 of \"agent-invoices\" discarded");
    // On its own: followed at once by another key, it would be an Alt.
    terminal.press(&["Escape"]);
    wait_until("no filter", || !terminal.screen().contains("filter: discarded"));
    terminal.press(&["1", "/", "db", "Enter", "Enter"]);
    // What an agent writes does not steer the terminal.
    terminal.wait_for("ready to serve");
    terminal.wait_for("evil \u{fffd}[2J line");
    let before = fleet.pids("agent-db");
    terminal.press(&["R", "y"]);
    wait_until("another process", || !fleet.pids("agent-db").is_empty() && fleet.pids("agent-db") != before);
    terminal.press(&["1", "/", "sales", "Enter", "r"]);
    terminal.wait_for("succeeded");
    terminal.press(&["q"]);
    terminal.wait_for("it ended with 0");
}

#[test]
fn top_without_a_terminal_says_what_to_use_instead() {
    let fleet = Werkpilot::start(&[("fleet.toml", FLEET)], "");
    let outcome = fleet.cli(&["top"]);
    assert!(outcome.expect(64).err.contains("werkpilot agents --json"));
}
