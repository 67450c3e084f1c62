//! What a key is: the one description that the parser, the schema and the rules about jobs and services share.

use crate::schema::Shape;

/// Whose key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Of every agent.
    Any,
    /// Of jobs only.
    Job,
    /// Of services only.
    Service,
}

/// A key of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) scope: Scope,
    /// What it does, for the schema.
    pub(crate) doc: &'static str,
    /// Its default as JSON, where it is one value.
    pub(crate) default: Option<&'static str>,
    pub(crate) shape: Shape,
}

impl Key {
    /// A key of every agent.
    pub(crate) const fn any(name: &'static str, doc: &'static str, shape: Shape) -> Self {
        Self { name, scope: Scope::Any, doc, default: None, shape }
    }

    /// A key of jobs.
    pub(crate) const fn job(name: &'static str, doc: &'static str, shape: Shape) -> Self {
        Self { name, scope: Scope::Job, doc, default: None, shape }
    }

    /// A key of services.
    pub(crate) const fn service(name: &'static str, doc: &'static str, shape: Shape) -> Self {
        Self { name, scope: Scope::Service, doc, default: None, shape }
    }

    /// With its default, written as JSON.
    pub(crate) const fn or(mut self, json: &'static str) -> Self {
        self.default = Some(json);
        self
    }
}
