//! Schemas of what is text or a number in JSON though it is a type of its own here. All others are derived.

use std::borrow::Cow;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, Object, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::event::TopicPattern;
use crate::ids::{AgentName, RunId};
use crate::notifications::WebhookUrl;
use crate::reason::DependencyProblem;
use crate::signal::Signal;
use crate::spec::Priority;
use crate::status::Status;
use crate::time::Timestamp;

/// A schema under a name of its own.
macro_rules! written {
    ($type:ty, $name:literal, $schema:expr) => {
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                Schema::Object($schema).into()
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed($name)
            }
        }
    };
}

fn text(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description))
}

fn known(description: &str, format: KnownFormat) -> Object {
    text(description).format(Some(SchemaFormat::KnownFormat(format))).build()
}

written!(Timestamp, "Timestamp", known("A time on the wall clock, RFC 3339.", KnownFormat::DateTime));

written!(AgentName, "AgentName", text("The name of an agent.").pattern(Some("^[a-z0-9][a-z0-9_-]{0,62}$")).build());

written!(
    RunId,
    "RunId",
    text("The id of an execution, a UUID of version 7.").format(Some(SchemaFormat::Custom("uuid".to_owned()))).build()
);

written!(Signal, "Signal", text("A signal: its name, such as SIGTERM, or its number.").build());

written!(
    TopicPattern,
    "TopicPattern",
    text("A topic of events, or a pattern: agent.failed, agent.*, memory.>").build()
);

written!(WebhookUrl, "WebhookUrl", text("Scheme, host and port of a webhook; what follows is never shown.").build());

written!(
    Priority,
    "Priority",
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .description(Some("1 critical, 2 important, 3 normal."))
        .minimum(Some(1))
        .maximum(Some(3))
        .build()
);

written!(
    DependencyProblem,
    "DependencyProblem",
    text("A status, or what has not happened since the boot.")
        .enum_values(Some(Status::ALL.map(Status::as_str).into_iter().chain(["not_started", "not_succeeded"])))
        .build()
);
