//! The log of an agent, a JSON object per line, with follow.

use std::time::Duration;

use actix_web::web::{Bytes, Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};
use werkpilot_core::ids::RunId;
use werkpilot_core::time::Timestamp;
use werkpilot_process::logs::{LogLine, LogPosition, LogStream};
use werkpilot_runtime::{ControlError, Handle, LogQuery};

use crate::problem::Problem;
use crate::server::Shared;

/// Lines, unless the caller says otherwise.
const LINES: usize = 100;
/// The most that are looked back; each has up to 16 KiB.
const MAX_LINES: usize = 10_000;
/// How long a follower may still be served when the server stops: for the last lines of a shutdown.
const LAST_LOOK: Duration = Duration::from_millis(40);
/// How often a follower's log is looked at: well under what people notice, and cheap, as nothing is read but a length.
const INTERVAL: Duration = Duration::from_millis(250);

/// A JSON object per line.
pub(crate) const CONTENT_TYPE: &str = "application/x-ndjson";

/// What is wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wish {
    lines: Option<usize>,
    run: Option<RunId>,
    follow: bool,
}

impl Wish {
    /// How many of the last lines.
    pub(crate) fn lines(&self) -> usize {
        self.lines.unwrap_or(LINES).min(MAX_LINES)
    }
}

/// A line as programs read it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    time: Timestamp,
    stream: &'static str,
    run: &'a str,
    text: &'a str,
    /// The program's line goes on in the next one of the same run and stream.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    goes_on: bool,
}

/// The last lines, and, with `follow`, those to come.
pub(crate) async fn show(
    shared: Data<Shared>,
    name: Path<String>,
    wish: Query<Wish>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let agent = name.into_inner();
    if wish.follow {
        shared.places.wait(&request)?;
    }
    let query = LogQuery { agent: agent.clone(), run: wish.run, lines: wish.lines() };
    let (lines, position) = shared.handle.log_tail(query).await?;
    let mut answer = HttpResponse::Ok();
    answer.content_type(CONTENT_TYPE);
    if !wish.follow {
        return Ok(answer.body(render(&lines)));
    }
    let stopping = shared.clone();
    let follower = Follower {
        handle: shared.handle.clone(),
        shared: shared.clone(),
        stopping: false,
        agent,
        run: wish.run,
        position,
    };
    let first = stream::iter((!lines.is_empty()).then(|| Ok::<_, ControlError>(render(&lines))));
    let body = first.chain(follower.stream()).take_until(Box::pin(async move {
        stopping.stopped().await;
        tokio::time::sleep(LAST_LOOK).await;
    }));
    Ok(answer.streaming(body))
}

/// The lines as they are sent.
pub(crate) fn render(lines: &[LogLine]) -> Bytes {
    let mut out = Vec::with_capacity(lines.len() * 128);
    for line in lines {
        let stream = match line.stream {
            LogStream::Stdout => "stdout",
            LogStream::Stderr => "stderr",
        };
        let line = Line { time: line.time, stream, run: &line.run, text: &line.text, goes_on: line.goes_on };
        serde_json::to_writer(&mut out, &line).expect("text and numbers");
        out.push(b'\n');
    }
    out.into()
}

/// Reads on as the log grows. It looks only when the client has taken what came before.
struct Follower {
    handle: Handle,
    shared: Data<Shared>,
    /// The server stops, and that has been noticed.
    stopping: bool,
    agent: String,
    run: Option<RunId>,
    position: LogPosition,
}

impl Follower {
    fn stream(self) -> impl Stream<Item = Result<Bytes, ControlError>> {
        // Boxed, as the body of an answer has to be movable.
        Box::pin(stream::unfold(self, |mut follower| async move {
            match follower.next().await {
                Ok(bytes) => Some((Ok(bytes), follower)),
                Err(error) => {
                    // The agent is gone, or its log can't be read: the stream ends.
                    log::debug!("the log of {} is followed no longer: {error}", follower.agent);
                    None
                }
            }
        }))
    }

    async fn next(&mut self) -> Result<Bytes, ControlError> {
        loop {
            let (lines, position) = self.handle.log_from(&self.agent, self.run, self.position).await?;
            let moved = position != self.position;
            self.position = position;
            if !lines.is_empty() {
                return Ok(render(&lines));
            }
            if !moved {
                // When the server stops, what was written meanwhile is looked for once more.
                tokio::select! {
                    () = tokio::time::sleep(INTERVAL) => {}
                    () = self.shared.stopped(), if !self.stopping => self.stopping = true,
                }
            }
        }
    }
}
