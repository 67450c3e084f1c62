//! What a key means, and what lies over the picture: pure, without a terminal, a clock or an orchestrator.
//!
//! Invariant: nothing that ends or throws away something is wished for without a yes.

use super::data::{Events, Fleet, Letters, Line, Queue};
use super::lists::{Lists, Tab};

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

/// What is shown, and of what.
#[derive(Debug, Default)]
pub struct App {
    /// What is looked at.
    pub tab: Tab,
    /// What is known, and how it is looked through.
    pub lists: Lists,
    /// Whether the filter is being typed.
    pub typing: bool,
    /// Whether the picture is held.
    pub held: bool,
    /// What lies over it.
    pub over: Option<Over>,
    /// The last answer to an action, and whether it is a failure.
    pub notice: Option<(String, bool)>,
    /// Whose log is shown.
    pub log_of: Option<String>,
    /// Lines of a page; told by who draws.
    pub page: usize,
    /// The chosen row of each tab, counted from the top; of events and logs from the bottom.
    chosen: [usize; Tab::ALL.len()],
}

impl App {
    /// An empty picture.
    pub fn new(tab: Tab) -> Self {
        Self { tab, page: 10, ..Self::default() }
    }

    /// The chosen row of what is shown.
    pub fn chosen(&self) -> usize {
        self.chosen[self.tab as usize].min(self.rows().saturating_sub(1))
    }

    /// The agent that the chosen row is about; of a log, whose it is.
    pub fn agent(&self) -> Option<String> {
        match self.tab {
            Tab::Logs => self.log_of.clone(),
            tab => self.lists.agent_of(tab, self.chosen()),
        }
    }

    fn rows(&self) -> usize {
        self.lists.rows(self.tab)
    }

    /// Takes in what was heard.
    pub fn hear(&mut self, news: News) {
        match news {
            News::Fleet(fleet) => self.lists.fleet = *fleet,
            News::Queue(queue) => self.lists.queue = queue,
            News::Events(events) => self.lists.events = events.events,
            News::Letters(letters) => self.lists.letters = letters.dead_letters,
            News::Log(agent, lines) if self.log_of.as_deref() == Some(&agent) => self.lists.log = lines,
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
            Key::Esc if self.lists.filter.is_empty() => self.go(Tab::Agents),
            Key::Esc => {
                self.lists.filter.clear();
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
                self.lists.order = self.lists.order.next();
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
            Key::Char(letter) => self.lists.filter.push(letter),
            Key::Back => {
                self.lists.filter.pop();
            }
            Key::Esc => {
                self.lists.filter.clear();
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
            self.lists.log.clear();
            self.chosen[Tab::Logs as usize] = 0;
            self.log_of = Some(agent);
        }
        // A filter for agents would hide the lines.
        self.lists.filter.clear();
        self.tab = Tab::Logs;
        Wish::Look
    }

    fn pause(&mut self) -> Wish {
        if self.lists.system().paused {
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
        let is_service = self.lists.is_service(&name);
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
        let Some((id, agent)) =
            self.lists.letters().get(self.chosen()).map(|l| (l.id.to_string(), l.agent_name.clone()))
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
        let Some((run, agent)) = self.lists.waiting().get(self.chosen()).map(|w| (w.run.clone(), w.agent.clone()))
        else {
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
}

fn act(path: &[&str], done: &str) -> Act {
    Act { path: path.iter().map(|&part| part.to_owned()).collect(), done: done.to_owned() }
}

fn on_agent(name: &str, verb: &str, done: &str) -> Act {
    act(&["agents", name, verb], done)
}

#[cfg(test)]
mod tests;
