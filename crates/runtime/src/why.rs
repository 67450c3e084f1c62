//! `werkpilot why`: what is known of an agent or an execution, gathered for `werkpilot_core::why`, which explains it.
//!
//! What the house knows is gathered on its arbiter in one go; facts that it has forgotten come from the disk afterwards.

mod account;
mod ended;
mod kept;

use std::time::Duration;

use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::status::Status;
use werkpilot_core::time::{Clocks, Timestamp};
use werkpilot_core::why::{
    AgentAccount, EndedAccount, Fact, Restart, of_agent, of_ended_run, of_kept_agent, of_live_run,
};

use crate::handle::{ControlError, Handle};
use crate::house::House;
use crate::state::{FactQuery, Told};

pub use kept::kept_why;
pub use werkpilot_core::why::Why;

/// Facts that are looked at: more than are shown, for when it changed is among them.
const FACTS: usize = 40;
/// So far back restarts are told of.
const LATELY: Duration = Duration::from_hours(1);

/// What the house knows of a subject.
enum Found {
    Agent(Box<AgentAccount>),
    Live(Box<AgentAccount>, RunId),
    Ended(Box<EndedAccount>),
}

fn find(house: &House, subject: &str) -> Option<Found> {
    let agent = house.directory.borrow().find(subject);
    if let Some(index) = agent {
        return account::of(house, index).map(|account| Found::Agent(Box::new(account)));
    }
    let run = subject.parse().ok()?;
    if let Some(ended) = ended::of(house, run) {
        return Some(Found::Ended(Box::new(ended)));
    }
    let index = {
        let (directory, dispatcher) = (house.directory.borrow(), house.dispatcher.borrow());
        let lives = |index| dispatcher.live(index).iter().any(|live| live.run == run);
        directory.iter().map(|(index, _)| index).find(|index| lives(*index))?
    };
    account::of(house, index).map(|account| Found::Live(Box::new(account), run))
}

/// The status of an agent and when it is due.
fn agent_now(house: &House, agent: &AgentName) -> Option<(Status, Option<Timestamp>)> {
    let index = house.directory.borrow().find(agent.as_str())?;
    let due = house.timetable.borrow().next_of(index, house.now()).map(|next| next.at);
    Some((house.dispatcher.borrow().status(index), due))
}

impl From<Told> for Fact {
    fn from(told: Told) -> Self {
        Self { at: told.time, topic: told.topic, text: told.message }
    }
}

/// The restarts among these facts that nobody asked for.
fn restarts(facts: Vec<Told>) -> Vec<Restart> {
    let automatic = |told: &Told| told.data["count"].as_u64().is_some_and(|count| count > 0);
    let restart = |told: Told| {
        let reason = told.message.split_once(": ").map_or("", |(_, reason)| reason).to_owned();
        Restart { at: told.time, reason }
    };
    facts.into_iter().filter(automatic).map(restart).collect()
}

impl Handle {
    /// Why an agent, by name, or an execution, by id, is as it is.
    ///
    /// # Errors
    /// [`ControlError::UnknownSubject`]: there is neither; or nobody answers.
    pub async fn why(&self, subject: &str) -> Result<Why, ControlError> {
        let wanted = subject.to_owned();
        let (found, now) = self.consult(move |house| (find(house, &wanted), house.now())).await?;
        match found {
            Some(Found::Agent(mut account)) => {
                self.add_facts(&mut account, now).await;
                Ok(of_agent(&account, now))
            }
            Some(Found::Live(mut account, run)) => {
                account.facts = self.facts_of_run(run).await;
                of_live_run(&account, run, now).ok_or(ControlError::ForgottenRun(run))
            }
            Some(Found::Ended(account)) => self.why_ended(*account, now).await,
            None => self.why_kept(subject, now).await,
        }
    }

    async fn why_ended(&self, mut account: EndedAccount, now: Clocks) -> Result<Why, ControlError> {
        account.facts = self.facts_of_run(account.run).await;
        if account.again.is_none() && ended::may_be_run_again(&account) {
            let ended = account.clone();
            let again = self.ledger().read(move |reader| ended::run_again(reader, &ended)).await;
            account.again = again.ok().flatten();
        }
        Ok(of_ended_run(&account, now))
    }

    /// What only the disk remembers: an execution, or an agent that is gone.
    async fn why_kept(&self, subject: &str, now: Clocks) -> Result<Why, ControlError> {
        if let Ok(run) = subject.parse()
            && let Ok(view) = self.execution(run).await
        {
            let agent = view.agent.clone();
            let around = move |house: &House| {
                (ended::letter(house, run, None), agent_now(house, &agent), ended::last_words(house, &agent, run))
            };
            let (letter, now_of_agent, last_words) = self.consult(around).await?;
            let account = EndedAccount { letter, now: now_of_agent, last_words, ..ended::of_view(view) };
            return self.why_ended(account, now).await;
        }
        if let Ok(name) = AgentName::new(subject) {
            let kept = self.ledger().read(move |reader| kept::account(reader, &name)).await;
            if let Ok(Some(account)) = kept {
                return Ok(of_kept_agent(&kept::gone(account), now));
            }
        }
        let (name, suggestion) = (subject.to_owned(), self.nearest(subject).await);
        Err(ControlError::UnknownSubject { name, suggestion })
    }

    /// What happened last, and restarts of the last hour. A disk that does not answer says so elsewhere.
    async fn add_facts(&self, account: &mut AgentAccount, now: Clocks) {
        let agents = vec![account.spec.name.clone()];
        let last = FactQuery { agents: agents.clone(), limit: Some(FACTS), ..FactQuery::default() };
        account.facts = self.told(last).await.into_iter().map(Fact::from).collect();
        let since = Timestamp::from_millis(now.wall.as_millis() - i64::try_from(LATELY.as_millis()).unwrap_or(0));
        let topics = "agent.restarting".parse().into_iter().collect();
        let lately = FactQuery { agents, topics, since: Some(since), limit: Some(1_000), ..FactQuery::default() };
        let restarts = restarts(self.told(lately).await);
        if restarts.len() > account.restarts.len() {
            account.restarts = restarts;
        }
    }

    async fn facts_of_run(&self, run: RunId) -> Vec<Fact> {
        let query = FactQuery { run: Some(run), limit: Some(FACTS), ..FactQuery::default() };
        self.told(query).await.into_iter().map(Fact::from).collect()
    }

    async fn told(&self, query: FactQuery) -> Vec<Told> {
        self.facts(&query).await.map(|page| page.events).unwrap_or_default()
    }
}
