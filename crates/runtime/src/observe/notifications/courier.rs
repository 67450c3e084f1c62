//! The courier: a thread of its own that carries messages to webhooks, so that neither a handshake nor a name server
//! holds up an actor. It is there only while there is something to carry, and for [`LINGER`] after.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use werkpilot_core::notifications::Outcome;

use super::answer::{Answer, Fault};
use super::webhook::{self, Post};

/// The thread and the certificates of the system are kept so long: for bursts.
const LINGER: Duration = Duration::from_secs(30);
/// A TLS handshake in an unoptimised build is the deepest that it goes.
const STACK: usize = 512 * 1024;

struct Errand {
    post: Post,
    told: oneshot::Sender<Answer>,
}

/// The way to the courier.
#[derive(Debug, Default)]
pub struct Courier(Option<mpsc::UnboundedSender<Errand>>);

impl std::fmt::Debug for Errand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Errand").field("url", &self.post.url).finish_non_exhaustive()
    }
}

impl Courier {
    /// Has a message carried. The caller hands in one per target at a time, which bounds the channel.
    pub fn send(&mut self, post: Post) -> impl Future<Output = Answer> + 'static + use<> {
        let (told, answer) = oneshot::channel();
        let mut errand = Some(Errand { post, told });
        let mut failed = None;
        // The second time for one that has just gone home.
        for _ in 0..2 {
            let Some(waiting) = errand.take() else { break };
            match &self.0 {
                Some(courier) => {
                    if let Err(mpsc::error::SendError(back)) = courier.send(waiting) {
                        errand = Some(back);
                        self.0 = None;
                    }
                }
                None => match start() {
                    Ok(courier) => {
                        // A fresh one listens.
                        let _ = courier.send(waiting);
                        self.0 = Some(courier);
                    }
                    Err(error) => failed = Some(format!("failed to start a thread: {error}")),
                },
            }
        }
        async move {
            let why = failed.unwrap_or_else(|| "the thread that carries notifications died".to_owned());
            answer.await.unwrap_or(Answer {
                outcome: Outcome::Failed { retry_after: None },
                status: None,
                took: Duration::ZERO,
                error: Some(why),
                hint: None,
            })
        }
    }
}

fn start() -> std::io::Result<mpsc::UnboundedSender<Errand>> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().thread_stack_size(STACK).build()?;
    let thread = thread::Builder::new().name("courier".to_owned()).stack_size(STACK);
    thread.spawn(move || {
        runtime.block_on(carry(receiver));
        // A name server that does not answer must not keep it.
        runtime.shutdown_background();
    })?;
    Ok(sender)
}

async fn carry(mut errands: mpsc::UnboundedReceiver<Errand>) {
    let mut tls: Option<Arc<ClientConfig>> = None;
    let mut under_way = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            errand = timeout(LINGER, errands.recv()) => match errand {
                Ok(Some(errand)) => {
                    let config = if errand.post.url.is_tls() { certificates(&mut tls) } else { Err(Fault::new("no TLS")) };
                    under_way.spawn(async move {
                        let answer = webhook::deliver(&errand.post, || config).await;
                        // Who asked may have gone.
                        let _ = errand.told.send(answer);
                    });
                }
                Err(_) if under_way.is_empty() => {
                    errands.close();
                    // What came in the last moment is carried, too.
                    if errands.is_empty() {
                        return;
                    }
                }
                Err(_) => {}
                Ok(None) => break,
            },
            Some(_) = under_way.join_next() => {}
        }
    }
    while under_way.join_next().await.is_some() {}
}

/// Read again as long as they can't be had.
fn certificates(kept: &mut Option<Arc<ClientConfig>>) -> Result<Arc<ClientConfig>, Fault> {
    if let Some(config) = kept {
        return Ok(config.clone());
    }
    let config = webhook::tls()?;
    *kept = Some(config.clone());
    Ok(config)
}
