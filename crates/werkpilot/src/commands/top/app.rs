//! What is shown and what a key means: pure, without a terminal, a clock or an orchestrator.
//!
//! Invariant: nothing that ends or throws away something is wished for without a yes.

use clap::ValueEnum;
use werkpilot_core::status::Status;

use super::data::{Agent, Events, Fact, Fleet, Letter, Letters, Line, Queue, Waiting};

/// What can be looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Tab {
    /// All agents.
    #[default]
    Agents,
    /// What waits.
    Queue,
    /// What happened.
    Events,
    /// What failed for good.
    Letters,
    /// What an agent writes.
    Logs,
}

impl Tab {
    /// In the order of their keys.
    pub const ALL: [Self; 5] = [Self::Agents, Self::Queue, Self::Events, Self::Letters, Self::Logs];

    /// For people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Agents => "Agents",
            Self::Queue => "Queue",
            Self::Events => "Events",
            Self::Letters => "Dead letters",
            Self::Logs => "Logs",
        }
    }
}

/// A key, as far as it means something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A character.
    Char(char),
    /// Return.
    Enter,
    /// Escape.
    Esc,
    /// Backspace.
    Back,
    /// The next tab.
    Tab,
    /// The tab before.
    BackTab,
    /// One line up.
    Up,
    /// One line down.
    Down,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// The first line.
    Home,
    /// The last line.
    End,
    /// Ctrl-C.
    Interrupt,
}

/// How agents are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Those that need attention first.
    #[default]
    Attention,
    /// By name.
    Name,
    /// The largest first.
    Memory,
    /// The slowest first.
    Latency,
}

impl Order {
    const fn next(self) -> Self {
        match self {
            Self::Attention => Self::Name,
            Self::Name => Self::Memory,
            Self::Memory => Self::Latency,
            Self::Latency => Self::Attention,
        }
    }

    /// For people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Attention => "what needs attention first",
            Self::Name => "by name",
            Self::Memory => "by memory",
            Self::Latency => "by p95",
        }
    }
}

/// Something that is to be done by the orchestrator: a POST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// Parts of the path below `/api/v1`.
    pub path: Vec<String>,
    /// What it says once it is done, if the answer does not.
    pub done: String,
}

/// What a key leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Wish {
    /// Nothing but another picture.
    None,
    /// Something else is to be shown: look now.
    Look,
    /// To be done.
    Act(Act),
    /// The cause chain of an agent.
    Why(String),
    /// The end.
    Quit,
}

/// What lies over the picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Over {
    /// A question, and what a yes means.
    Question(String, Act),
    /// A text to read.
    Text(String, String),
    /// The keys.
    Help,
}

/// What was heard from the orchestrator.
#[derive(Debug)]
pub enum News {
    /// The fleet.
    Fleet(Box<Fleet>),
    /// What waits.
    Queue(Queue),
    /// What happened.
    Events(Events),
    /// What failed for good.
    Letters(Letters),
    /// What an agent wrote.
    Log(String, Vec<Line>),
    /// Why an agent is as it is.
    Why(String, String),
    /// Something was done.
    Done(String),
    /// Something could not be done, or nobody answered.
    Failed(String),
}

/// All that is known and shown.
#[derive(Debug, Default)]
pub struct App {
    /// What is looked at.
    pub tab: Tab,
    /// How agents are ordered.
    pub order: Order,
    /// What names and texts have to contain.
    pub filter: String,
    /// Whether the filter is being typed.
    pub typing: bool,
    /// Whether the picture is held.
    pub held: bool,
    /// What lies over it.
    pub over: Option<Over>,
    /// The last answer to an action, and whether it is a failure.
    pub notice: Option<(String, bool)>,
    /// Whether the last look failed.
    pub lost: bool,
    /// Whose log is shown.
    pub log_of: Option<String>,
    /// Lines of a page; told by who draws.
    pub page: usize,
    fleet: Fleet,
    queue: Queue,
    events: Vec<Fact>,
    letters: Vec<Letter>,
    log: Vec<Line>,
    /// The chosen row of each tab, counted from the top; of events and logs from the bottom.
    chosen: [usize; Tab::ALL.len()],
}

impl App {
    /// An empty picture.
    pub fn new(tab: Tab) -> Self {
        Self { tab, page: 10, ..Self::default() }
    }

    /// The orchestrator.
    pub fn system(&self) -> &super::data::System {
        &self.fleet.system
    }

    /// How many agents there are in all.
    pub fn fleet_size(&self) -> usize {
        self.fleet.agents.len()
    }

    /// How many agents have each status, in the order in which they first come.
    pub fn statuses(&self) -> Vec<(&str, usize)> {
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for agent in &self.fleet.agents {
            match counts.iter_mut().find(|(status, _)| *status == agent.status) {
                Some((_, count)) => *count += 1,
                None => counts.push((&agent.status, 1)),
            }
        }
        counts.sort_by_key(|(status, _)| std::cmp::Reverse(urgency(status)));
        counts
    }

    /// The agents that fit, in order.
    pub fn agents(&self) -> Vec<&Agent> {
        let fits = |agent: &&Agent| {
            self.fits(&[&agent.name, &agent.department, &agent.status, agent.reason.as_deref().unwrap_or_default()])
        };
        let mut agents: Vec<&Agent> = self.fleet.agents.iter().filter(fits).collect();
        match self.order {
            Order::Attention => agents.sort_by_key(|agent| std::cmp::Reverse(urgency(&agent.status))),
            Order::Name => agents.sort_by(|a, b| a.name.cmp(&b.name)),
            Order::Memory => agents.sort_by(|a, b| largest(a.memory_bytes, b.memory_bytes)),
            Order::Latency => agents.sort_by(|a, b| largest(a.p95, b.p95)),
        }
        agents
    }

    /// What waits and fits.
    pub fn waiting(&self) -> Vec<&Waiting> {
        self.queue.waiting.iter().filter(|waiting| self.fits(&[&waiting.agent])).collect()
    }

    /// The events that fit, oldest first.
    pub fn events(&self) -> Vec<&Fact> {
        self.events.iter().filter(|fact| self.fits(&[&fact.topic, &fact.message])).collect()
    }

    /// The dead letters that fit, newest first.
    pub fn letters(&self) -> Vec<&Letter> {
        let fits = |letter: &&Letter| self.fits(&[&letter.agent_name, &letter.error, &letter.state]);
        self.letters.iter().rev().filter(fits).collect()
    }

    /// The lines that fit, oldest first.
    pub fn log(&self) -> Vec<&Line> {
        self.log.iter().filter(|line| self.fits(&[&line.text])).collect()
    }

    /// The chosen row of what is shown.
    pub fn chosen(&self) -> usize {
        self.chosen[self.tab as usize].min(self.rows().saturating_sub(1))
    }

    /// Rows of what is shown.
    pub fn rows(&self) -> usize {
        match self.tab {
            Tab::Agents => self.agents().len(),
            Tab::Queue => self.waiting().len(),
            Tab::Events => self.events().len(),
            Tab::Letters => self.letters().len(),
            Tab::Logs => self.log().len(),
        }
    }

    /// The agent that the chosen row is about.
    pub fn agent(&self) -> Option<String> {
        match self.tab {
            Tab::Agents => self.agents().get(self.chosen()).map(|agent| agent.name.clone()),
            Tab::Queue => self.waiting().get(self.chosen()).map(|waiting| waiting.agent.clone()),
            Tab::Letters => self.letters().get(self.chosen()).map(|letter| letter.agent_name.clone()),
            Tab::Logs => self.log_of.clone(),
            Tab::Events => None,
        }
    }

    /// Takes in what was heard.
    pub fn hear(&mut self, news: News) {
        self.lost = matches!(news, News::Failed(_)) && self.lost;
        match news {
            News::Fleet(fleet) => self.fleet = *fleet,
            News::Queue(queue) => self.queue = queue,
            News::Events(events) => self.events = events.events,
            News::Letters(letters) => self.letters = letters.dead_letters,
            News::Log(agent, lines) if self.log_of.as_deref() == Some(&agent) => self.log = lines,
            // Another one was chosen meanwhile.
            News::Log(..) => {}
            News::Why(agent, text) => self.over = Some(Over::Text(format!("Why {agent}"), text)),
            News::Done(text) => self.notice = Some((text, false)),
            News::Failed(text) => self.notice = Some((text, true)),
        }
    }

    /// The one place where a key is given its meaning.
    pub fn on(&mut self, key: Key) -> Wish {
        if key == Key::Interrupt {
            return Wish::Quit;
        }
        if let Some(over) = self.over.take() {
            return self.over_it(over, key);
        }
        if self.typing {
            return self.type_filter(key);
        }
        self.notice = None;
        match key {
            Key::Char('q') => Wish::Quit,
            Key::Char('?') => self.show(Over::Help),
            Key::Char('/') => {
                self.typing = true;
                Wish::None
            }
            Key::Esc if self.filter.is_empty() => self.go(Tab::Agents),
            Key::Esc => {
                self.filter.clear();
                Wish::None
            }
            Key::Char(' ') => {
                self.held = !self.held;
                if self.held { Wish::None } else { Wish::Look }
            }
            Key::Tab => self.go(self.neighbour(1)),
            Key::BackTab => self.go(self.neighbour(Tab::ALL.len() - 1)),
            Key::Char(digit @ '1'..='5') => self.go(Tab::ALL[digit as usize - '1' as usize]),
            Key::Char('o') if self.tab == Tab::Agents => {
                self.order = self.order.next();
                Wish::None
            }
            Key::Enter | Key::Char('l') => self.open_log(),
            Key::Char('P') => self.pause(),
            Key::Char(letter) if !matches!(letter, 'j' | 'k' | 'g' | 'G') => self.act(letter),
            other => {
                self.walk(other);
                Wish::None
            }
        }
    }

    fn over_it(&mut self, over: Over, key: Key) -> Wish {
        match (over, key) {
            (Over::Question(_, act), Key::Char('y') | Key::Enter) => Wish::Act(act),
            (Over::Question(..), _) => {
                self.notice = Some(("nothing was done".to_owned(), false));
                Wish::None
            }
            // A text is read until a key.
            (Over::Text(..) | Over::Help, _) => Wish::None,
        }
    }

    fn type_filter(&mut self, key: Key) -> Wish {
        match key {
            Key::Char(letter) => self.filter.push(letter),
            Key::Back => {
                self.filter.pop();
            }
            Key::Esc => {
                self.filter.clear();
                self.typing = false;
            }
            Key::Enter => self.typing = false,
            other => self.walk(other),
        }
        Wish::None
    }

    fn show(&mut self, over: Over) -> Wish {
        self.over = Some(over);
        Wish::None
    }

    fn neighbour(&self, steps: usize) -> Tab {
        Tab::ALL[(self.tab as usize + steps) % Tab::ALL.len()]
    }

    fn go(&mut self, tab: Tab) -> Wish {
        if tab == Tab::Logs {
            return self.open_log();
        }
        self.tab = tab;
        Wish::Look
    }

    fn open_log(&mut self) -> Wish {
        let Some(agent) = self.agent().or_else(|| self.log_of.clone()) else {
            self.notice = Some(("choose an agent first: key 1, then Enter".to_owned(), false));
            return Wish::None;
        };
        if self.log_of.as_ref() != Some(&agent) {
            self.log.clear();
            self.chosen[Tab::Logs as usize] = 0;
            self.log_of = Some(agent);
        }
        // A filter for agents would hide the lines.
        self.filter.clear();
        self.tab = Tab::Logs;
        Wish::Look
    }

    fn pause(&mut self) -> Wish {
        if self.fleet.system.paused {
            return Wish::Act(act(&["resume"], "triggers are resumed"));
        }
        self.show(Over::Question("Pause all triggers?".to_owned(), act(&["pause"], "triggers are paused")))
    }

    /// What letters do to the chosen row.
    fn act(&mut self, letter: char) -> Wish {
        match (self.tab, letter) {
            (Tab::Letters, 'y' | 'D') => return self.act_on_letter(letter),
            (Tab::Queue, 'c') => return self.cancel(),
            (Tab::Events, _) => return Wish::None,
            _ => {}
        }
        let Some(name) = self.agent() else { return Wish::None };
        let is_service = self.fleet.agents.iter().any(|agent| agent.name == name && agent.kind == "service");
        let ask = |question: String, verb: &str, done: String| Over::Question(question, on_agent(&name, verb, &done));
        match letter {
            'w' => Wish::Why(name),
            'r' if is_service => Wish::Act(on_agent(&name, "start", &format!("{name} is being started"))),
            'r' => Wish::Act(on_agent(&name, "trigger", &format!("{name} is queued"))),
            's' => Wish::Act(on_agent(&name, "start", &format!("{name} takes part again"))),
            'e' => Wish::Act(on_agent(&name, "enable", &format!("{name} is enabled"))),
            'x' => self.show(ask(format!("Stop {name}?"), "stop", format!("{name} is being stopped"))),
            'R' => self.show(ask(format!("Restart {name}?"), "restart", format!("{name} is being restarted"))),
            'd' => self.show(ask(format!("Disable {name}?"), "disable", format!("{name} is disabled"))),
            _ => Wish::None,
        }
    }

    fn act_on_letter(&mut self, letter: char) -> Wish {
        let Some((id, agent)) = self.letters().get(self.chosen()).map(|l| (l.id.to_string(), l.agent_name.clone()))
        else {
            return Wish::None;
        };
        if letter == 'y' {
            return Wish::Act(act(&["dead-letters", &id, "replay"], &format!("dead letter {id} is replayed")));
        }
        let question = format!("Throw dead letter {id} of {agent} away?");
        self.show(Over::Question(question, act(&["dead-letters", &id, "discard"], "it is thrown away")))
    }

    fn cancel(&mut self) -> Wish {
        let Some((run, agent)) = self.waiting().get(self.chosen()).map(|w| (w.run.clone(), w.agent.clone())) else {
            return Wish::None;
        };
        let question = format!("Cancel the waiting execution of {agent}?");
        self.show(Over::Question(question, act(&["executions", &run, "cancel"], "it is being cancelled")))
    }

    /// Events and logs are read from the newest, which is at the bottom.
    fn walk(&mut self, key: Key) {
        let from_the_end = matches!(self.tab, Tab::Events | Tab::Logs);
        let last = self.rows().saturating_sub(1);
        let at = if from_the_end { last - self.chosen() } else { self.chosen() };
        let to = match key {
            Key::Up | Key::Char('k') => at.saturating_sub(1),
            Key::Down | Key::Char('j') => at + 1,
            Key::PageUp => at.saturating_sub(self.page),
            Key::PageDown => at + self.page,
            Key::Home | Key::Char('g') => 0,
            Key::End | Key::Char('G') => last,
            _ => at,
        };
        let to = to.min(last);
        self.chosen[self.tab as usize] = if from_the_end { last - to } else { to };
    }

    fn fits(&self, texts: &[&str]) -> bool {
        let wanted = self.filter.to_lowercase();
        wanted.split_whitespace().all(|word| texts.iter().any(|text| text.to_lowercase().contains(word)))
    }
}

fn act(path: &[&str], done: &str) -> Act {
    Act { path: path.iter().map(|&part| part.to_owned()).collect(), done: done.to_owned() }
}

fn on_agent(name: &str, verb: &str, done: &str) -> Act {
    act(&["agents", name, verb], done)
}

fn largest(a: Option<f64>, b: Option<f64>) -> std::cmp::Ordering {
    b.unwrap_or(-1.0).total_cmp(&a.unwrap_or(-1.0))
}

/// How much a status asks for a person: core's order of statuses, from the best to the worst; but what somebody has
/// disabled is as it should be.
fn urgency(status: &str) -> usize {
    let status = if status == "disabled" { "stopped" } else { status };
    Status::ALL.iter().position(|known| known.as_str() == status).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
