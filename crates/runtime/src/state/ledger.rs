//! The way to the store: hands in what is to be kept, and asks what was.
//!
//! Invariant: each `done` is called exactly once; a writer that has died is replaced before the next batch.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use werkpilot_store::{Change, Class, Health, OpenError, Reader, Store, StoreError, Writer, WriterStats};

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no store: nothing is kept.
    #[error("read the state: none is kept")]
    NotKept,
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The thread that reads died.
    #[error("read the state: the reader died")]
    Died,
}

/// The way to the store. Cheap to clone, for any thread. Without a store it takes everything and keeps nothing, for
/// fleets that live in memory only.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    store: Mutex<Store>,
    /// Rung when something could not be kept, for who watches the disk.
    bell: Notify,
}

impl Ledger {
    /// A ledger on a store.
    pub fn new(store: Store) -> Self {
        Self(Some(Arc::new(Shared { store: Mutex::new(store), bell: Notify::new() })))
    }

    /// Whether anything is kept.
    pub fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Keeps a batch, whole or not at all, and tells when that is decided: on the writer's thread, or at once where
    /// nothing is kept.
    pub fn keep(&self, batch: Vec<Change>, done: impl FnOnce(Result<(), StoreError>) + Send + 'static) {
        self.submit(batch, Class::Durable, Box::new(done));
    }

    /// Keeps a batch and waits until it is on disk.
    ///
    /// # Errors
    /// [`StoreError`]: nothing of it is kept.
    pub async fn kept(&self, batch: Vec<Change>) -> Result<(), StoreError> {
        let (sender, receiver) = oneshot::channel();
        self.keep(batch, move |result| {
            // Who asked may have gone.
            let _ = sender.send(result);
        });
        receiver.await.unwrap_or(Err(StoreError::WriterGone))
    }

    /// Waits until of all that was handed in before it is decided whether it is on disk: a read sees it after that.
    pub async fn settled(&self) {
        // An empty batch is behind all others, and a disk that takes nothing has decided, too.
        let _ = self.kept(Vec::new()).await;
    }

    /// Keeps a batch with the next commit; nobody waits for it.
    pub fn record(&self, batch: Vec<Change>) {
        self.submit(batch, Class::Durable, Box::new(|result| complain(&result)));
    }

    /// Keeps a batch within 50 ms, or when the disk is well again.
    pub fn post(&self, batch: Vec<Change>) {
        self.submit(batch, Class::Lazy, Box::new(|result| complain(&result)));
    }

    /// Asks the store, on a thread of its own.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn read<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let store = self.0.clone().ok_or(ReadError::NotKept)?;
        let asking = move || {
            let reader = lock(&store.store).reader()?;
            ask(&reader)
        };
        Ok(tokio::task::spawn_blocking(asking).await.map_err(|_| ReadError::Died)??)
    }

    /// Waits until something could not be kept; for ever where nothing is.
    pub async fn trouble(&self) {
        match &self.0 {
            Some(shared) => shared.bell.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Whether the disk takes what it is given.
    pub fn health(&self) -> Health {
        self.writer().map_or(Health::Healthy, |writer| writer.health())
    }

    /// What was written; `None` where nothing is kept.
    pub fn stats(&self) -> Option<WriterStats> {
        Some(self.writer()?.stats())
    }

    /// The writer, for what is not a batch: pruning, tidying, drills.
    pub fn writer(&self) -> Option<Writer> {
        Some(lock(&self.0.as_ref()?.store).writer().clone())
    }

    /// Replaces a writer that has died.
    ///
    /// # Errors
    /// [`OpenError`]: the file can't be opened any more.
    pub fn restart_writer(&self) -> Result<(), OpenError> {
        self.0.as_ref().map_or(Ok(()), |shared| lock(&shared.store).restart_writer().map(|_| ()))
    }

    /// Writes what was handed in, and ends the writer. Blocks up to the time-out.
    ///
    /// # Errors
    /// [`StoreError`]: the disk did not take it, or not in time.
    pub fn close(&self, timeout: Duration) -> Result<(), StoreError> {
        self.writer().map_or(Ok(()), |writer| writer.close(timeout))
    }

    fn submit(&self, batch: Vec<Change>, class: Class, done: werkpilot_store::Done) {
        let (Some(writer), Some(shared)) = (self.writer(), self.0.clone()) else { return done(Ok(())) };
        let done = Box::new(move |result: Result<(), StoreError>| {
            if matches!(result, Err(StoreError::Unavailable { .. } | StoreError::Dropped | StoreError::WriterGone)) {
                shared.bell.notify_one();
            }
            done(result);
        });
        if let Err(back) = writer.submit(batch, class, done) {
            let reason = back.cause.to_string();
            (back.done)(Err(StoreError::Unavailable { reason: reason.into() }));
        }
    }
}

/// Nobody waits for it, so it is told here.
fn complain(result: &Result<(), StoreError>) {
    match result {
        // The state of the disk is told once, by who watches it.
        Ok(()) | Err(StoreError::Unavailable { .. } | StoreError::Dropped) => {}
        Err(error) => log::error!("failed to {error}"),
    }
}

fn lock(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}
