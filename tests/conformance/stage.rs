//! Where a script plays: servers of one make, each with other options, and the record of what was seen.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use serde_json::Value;
use werkpilot_tests::nats::{Bus, BusOptions, Make};
use werkpilot_tests::processes::Signal;
use werkpilot_tests::{PATIENCE, wait_for};

/// The result of each step.
pub type Record = BTreeMap<String, Value>;

/// The only user of the server with a password, and the password.
pub const LOGIN: (&str, &str) = ("alice", "secret");
/// What the server with a token wants.
pub const TOKEN: &str = "s3cr3t";
/// The longest payload of the small server, in bytes.
pub const SMALL: u32 = 1_024;

/// The servers of one make, and what a script has seen of them.
pub struct Stage {
    make: Make,
    /// Lets everybody in. It is the one that is stopped, paused and started again.
    pub open: Bus,
    /// Asks for [`LOGIN`].
    pub password: Bus,
    /// Asks for [`TOKEN`].
    pub token: Bus,
    /// Takes no payload beyond [`SMALL`].
    pub small: Bus,
    record: Record,
}

impl Stage {
    pub fn new(make: Make) -> Self {
        let start = |options| Bus::start(make, options);
        let options = BusOptions::default();
        Self {
            make,
            open: start(options),
            password: start(BusOptions { user: Some(LOGIN), ..options }),
            token: start(BusOptions { token: Some(TOKEN), ..options }),
            small: start(BusOptions { max_payload: Some(SMALL), ..options }),
            record: Record::new(),
        }
    }

    /// Another server of the same make.
    pub fn start(&self, options: BusOptions) -> Bus {
        Bus::start(self.make, options)
    }

    /// What was seen.
    pub fn end(self) -> Record {
        self.record
    }

    /// Notes the result of a step.
    pub fn tell(&mut self, step: &str, result: impl Into<Value>) {
        let twice = self.record.insert(step.to_owned(), result.into());
        assert!(twice.is_none(), "the step `{step}` is made once");
    }

    /// Does something with the open server.
    pub fn ask(&mut self, what: &str) {
        match what {
            "stop" => self.open.stop(),
            "start" => self.open.start_again(),
            "pause" => self.open.signal(Signal::STOP),
            "resume" => self.open.signal(Signal::CONT),
            "lame duck" => self.open.lame_duck(),
            other => panic!("a script asks for `{other}`"),
        }
    }

    /// Runs a script that is a program: it prints a line of JSON for each step, or for what it asks.
    pub fn run(&mut self, command: &mut Command) {
        let urls = [("OPEN", &self.open), ("PASSWORD", &self.password), ("TOKEN", &self.token), ("SMALL", &self.small)];
        command.envs(urls.map(|(name, bus)| (format!("{name}_URL"), bus.url())));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the script is started");
        let mut answers = child.stdin.take().expect("a pipe");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        for line in lines {
            let line = line.expect("a line");
            let value: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            if let Some(what) = value["ask"].as_str() {
                self.ask(what);
                // One that has died meanwhile is noticed below.
                let _ = answers.write_all(b"done\n");
            } else {
                self.tell(value["step"].as_str().expect("a step"), value["result"].clone());
            }
        }
        let status = wait_for("the end of the script", PATIENCE, || child.try_wait().expect("a child of ours"));
        assert!(status.success(), "the script against {:?} ended with {status}", self.make);
    }
}
