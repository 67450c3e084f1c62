//! The log of an agent, a JSON object per line, with follow.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::time::Timestamp;
use werkpilot_process::logs::{LineFilter, LogLine, LogPage, LogPosition, LogStream};
use werkpilot_runtime::{ControlError, Handle, LogQuery};

use super::given;
use crate::openapi::Missing;
use crate::problem::Problem;
use crate::server::Shared;

/// Lines, unless the caller says otherwise.
const LINES: usize = 100;
/// The most that are looked back; each has up to 16 KiB.
const MAX_LINES: usize = 10_000;
/// Characters of a text that is looked for: a line of a log, not a page.
const MAX_TEXT: usize = 256;
/// Says where the lines before those of the answer are, if there are any.
const BEFORE: &str = "werkpilot-before";
/// How long a follower may still be served when the server stops: for the last lines of a shutdown.
const LAST_LOOK: Duration = Duration::from_millis(40);
/// How often a follower's log is looked at: well under what people notice, and cheap, as nothing is read but a length.
const INTERVAL: Duration = Duration::from_millis(250);

/// A JSON object per line.
pub(crate) const CONTENT_TYPE: &str = "application/x-ndjson";

/// What is wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wish {
    /// The last so many lines; without: 100.
    #[param(minimum = 0, maximum = 10_000)]
    lines: Option<usize>,
    /// Only of this execution.
    run: Option<RunId>,
    /// Whether the answer goes on with the lines to come.
    follow: bool,
    /// Only lines with this text in them, in capital or small letters; at most 256 characters.
    #[param(max_length = 256)]
    text: Option<String>,
    /// Only what was written to `stdout` or to `stderr`.
    #[param(value_type = Option<String>, pattern = "^(stdout|stderr)$")]
    stream: Option<Output>,
    /// The lines before this place: what the header Werkpilot-Before of the page after it says. Not with `follow`.
    #[param(pattern = "^[0-9a-f]{1,16}-[0-9a-f]{1,16}-[0-9a-f]{1,16}$")]
    before: Option<String>,
}

/// An output of a program.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Output {
    Stdout,
    Stderr,
}

impl Wish {
    fn filter(&self) -> Result<LineFilter, Problem> {
        let text = given(self.text.as_ref());
        if text.is_some_and(|text| text.chars().count() > MAX_TEXT) {
            return Err(Problem::bad_request(format!("text has more than {MAX_TEXT} characters")));
        }
        let stream = self.stream.map(|output| match output {
            Output::Stdout => LogStream::Stdout,
            Output::Stderr => LogStream::Stderr,
        });
        Ok(LineFilter::default().of_run(self.run.as_ref()).of_stream(stream).with_text(text))
    }

    fn before(&self) -> Result<Option<LogPosition>, Problem> {
        let before = given(self.before.as_ref());
        if before.is_some() && self.follow {
            let text = "before asks for old lines, follow for those to come";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, text).hint("ask for one of them"));
        }
        before.map(str::parse).transpose().map_err(|error| Problem::bad_request(format!("before: {error}")))
    }
}

/// How many of the last lines are meant.
///
/// # Errors
/// 400: more than there may be.
pub(crate) fn count(lines: Option<usize>) -> Result<usize, Problem> {
    match lines {
        Some(lines) if lines > MAX_LINES => {
            Err(Problem::bad_request(format!("lines is {lines}; it may be up to {MAX_LINES}")))
        }
        lines => Ok(lines.unwrap_or(LINES)),
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

/// The log of an agent: its last lines, and, with `follow`, those to come.
///
/// A JSON object per line: `time`, `stream`, `run`, `text`, and `goesOn` where the next one goes on with the same line. At most
/// 4 MiB of them; where there are lines before them, the header `Werkpilot-Before` says where, and `before` takes that.
#[utoipa::path(
    get, path = "/api/v1/agents/{name}/logs", operation_id = "getAgentLog", tag = "agents",
    params(("name" = AgentName, Path, description = "Its name."), Wish),
    responses(
        (status = 200, description = "Its lines.", body = String, content_type = "application/x-ndjson"),
        Missing
    )
)]
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
    let (filter, before) = (wish.filter()?, wish.before()?);
    let query = LogQuery { agent: agent.clone(), filter: filter.clone(), before, lines: count(wish.lines)? };
    let (LogPage { lines, before }, position) = shared.handle.log_tail(query).await?;
    let mut answer = HttpResponse::Ok();
    answer.content_type(CONTENT_TYPE);
    if let Some(before) = before {
        answer.insert_header((BEFORE, before.to_string()));
    }
    if !wish.follow {
        return Ok(answer.body(render(&lines)));
    }
    let stopping = shared.clone();
    let follower =
        Follower { handle: shared.handle.clone(), shared: shared.clone(), stopping: false, agent, filter, position };
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
    filter: LineFilter,
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
            let (lines, position) = self.handle.log_from(&self.agent, self.filter.clone(), self.position).await?;
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
