//! Asks the orchestrator for what is shown, and has it do what is wished for.

use serde::de::DeserializeOwned;

use super::app::{Act, App, News};
use super::data::{Events, Fleet, Letters, Line, Queue};
use super::lists::Tab;
use crate::client::{Client, parse};
use crate::failure::Failure;

/// Events and dead letters that are looked at; more are a command's business.
const RECENT: &str = "500";
/// Lines of a log that are looked at.
const LINES: &str = "1000";

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    tab: Tab,
    log_of: Option<String>,
}

impl Sight {
    /// As the picture needs it now.
    pub fn of(app: &App) -> Self {
        Self { tab: app.tab, log_of: app.log_of.clone().filter(|_| app.tab == Tab::Logs) }
    }
}

/// Looks at the fleet, and at what the chosen tab shows.
pub async fn look(client: &Client, sight: Sight) -> Vec<News> {
    let (fleet, tab) = tokio::join!(fleet(client), of_tab(client, sight));
    [Some(fleet), tab].into_iter().flatten().map(|news| news.unwrap_or_else(|failure| failed(&failure))).collect()
}

async fn fleet(client: &Client) -> Result<News, Failure> {
    let fleet: Fleet = parse(client.get(&["metrics"], &[]).await?)?;
    Ok(News::Fleet(Box::new(fleet)))
}

async fn of_tab(client: &Client, sight: Sight) -> Option<Result<News, Failure>> {
    let recent = ("limit", RECENT.to_owned());
    Some(match sight.tab {
        Tab::Agents => return None,
        Tab::Queue => get::<Queue>(client, "queue", &[]).await.map(News::Queue),
        Tab::Events => get::<Events>(client, "events", &[recent]).await.map(News::Events),
        Tab::Letters => get::<Letters>(client, "dead-letters", &[recent]).await.map(News::Letters),
        Tab::Logs => log(client, sight.log_of?).await,
    })
}

async fn get<T: DeserializeOwned>(client: &Client, what: &str, query: &[(&str, String)]) -> Result<T, Failure> {
    parse(client.get(&["api", "v1", what], query).await?)
}

async fn log(client: &Client, agent: String) -> Result<News, Failure> {
    let path = ["api", "v1", "agents", &agent, "logs"];
    let text = client.get_text(&path, &[("lines", LINES.to_owned())]).await?;
    let lines: Vec<Line> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    Ok(News::Log(agent, lines))
}

/// Has something done.
pub async fn act(client: &Client, act: Act) -> News {
    let mut path = vec!["api", "v1"];
    path.extend(act.path.iter().map(String::as_str));
    match client.post(&path, None).await {
        Ok(answer) => News::Done(answer["message"].as_str().map_or(act.done, ToOwned::to_owned)),
        Err(failure) => failed(&failure),
    }
}

/// Asks why an agent is as it is.
pub async fn why(client: &Client, agent: String) -> News {
    match client.get(&["api", "v1", "why", &agent], &[]).await {
        Ok(answer) => News::Why(agent, answer["text"].as_str().unwrap_or_default().to_owned()),
        Err(failure) => failed(&failure),
    }
}

fn failed(failure: &Failure) -> News {
    let hint = failure.hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    News::Failed(format!("{}{hint}", failure.what))
}
