//! What all operations have alike: who may use them, how to log in, and the problems that any of them may answer.

use actix_web::http::StatusCode;
use serde_json::{Map, Value, json};

use crate::routes::{Access, Method, ROUTES, Route};

/// What begins with this belongs to the document.
pub(super) const PREFIX: &str = "/api/v1/";

/// A status with what it says, and whether an operation may answer it.
type Common = (&'static str, &'static str, fn(&Route, &Value) -> bool);

const COMMON: [Common; 11] = [
    ("400", "Something of the request can't be read; the detail says what.", |_, _| true),
    ("401", "A token or a session is needed, or the one that came is not known or revoked.", |_, _| true),
    ("403", "The role is too small, or the request comes from a page or over a way that may not ask this.", |_, _| {
        true
    }),
    ("408", "The body did not come in time.", |_, operation| operation.get("requestBody").is_some()),
    ("413", "The body is too large.", |_, operation| operation.get("requestBody").is_some()),
    ("421", "The Host header names no address of this server.", |_, _| true),
    ("429", "Too many failed logins; try again after Retry-After seconds.", |_, _| true),
    ("500", "A fault in the orchestrator; its log says more.", |_, _| true),
    ("503", "Not now: too busy, starting again, going down, or the disk refuses; see Retry-After.", |_, _| true),
    ("409", "The request of this Idempotency-Key is still being worked on.", |_, operation| takes_key(operation)),
    ("422", "The Idempotency-Key was used for another request.", |_, operation| takes_key(operation)),
];

fn takes_key(operation: &Value) -> bool {
    let parameters = operation["parameters"].as_array();
    parameters.is_some_and(|all| all.iter().any(|parameter| parameter["name"] == "Idempotency-Key"))
}

/// Puts in what the annotations leave out.
pub(super) fn complete(document: &mut Value) {
    document["info"]["version"] = json!(env!("CARGO_PKG_VERSION"));
    document["info"].as_object_mut().map(|info| info.remove("contact"));
    document["components"]["securitySchemes"] = schemes();
    for route in ROUTES.iter().filter(|route| route.path.starts_with(PREFIX)) {
        let method = route.method.as_str().to_ascii_lowercase();
        if let Some(operation) = document["paths"].get_mut(route.path).and_then(|item| item.get_mut(&method)) {
            complete_operation(route, operation);
        }
    }
    share_problems(document);
    bound_numbers(document);
}

/// Rust's numbers without a sign have bounds that OpenAPI's `int32` and `int64` do not tell.
fn bound_numbers(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let is_whole = members.get("type").is_some_and(|kind| kind == "integer" || kind[0] == "integer");
            if is_whole && members.get("minimum").and_then(Value::as_u64).is_some() {
                let (format, most) = match members.get("format").and_then(Value::as_str) {
                    Some("int32") => ("uint32", u64::from(u32::MAX)),
                    _ => ("uint64", u64::MAX),
                };
                members.insert("format".to_owned(), json!(format));
                members.entry("maximum").or_insert_with(|| json!(most));
            }
            members.values_mut().for_each(bound_numbers);
        }
        Value::Array(items) => items.iter_mut().for_each(bound_numbers),
        _ => {}
    }
}

/// Says each problem once, where operations say it in the same words.
fn share_problems(document: &mut Value) {
    let mut shared = Map::new();
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    let operations = paths.filter_map(|(_, item)| item.as_object_mut()).flatten();
    let answers = operations.filter_map(|(_, operation)| operation["responses"].as_object_mut()).flatten();
    for (status, answer) in answers {
        let Some(name) = name_of(status).filter(|_| answer["content"].get("application/problem+json").is_some()) else {
            continue;
        };
        if shared.entry(name.as_str()).or_insert_with(|| answer.clone()) == answer {
            *answer = json!({ "$ref": format!("#/components/responses/{name}") });
        }
    }
    document["components"]["responses"] = Value::Object(shared);
}

/// `NotFound` for 404.
fn name_of(status: &str) -> Option<String> {
    let status = StatusCode::from_bytes(status.as_bytes()).ok().filter(|status| status.as_u16() >= 400)?;
    Some(status.canonical_reason()?.split(' ').collect())
}

fn complete_operation(route: &Route, operation: &mut Value) {
    operation["x-werkpilot-role"] = match route.access {
        Access::Public => json!("none"),
        Access::Overview => json!("viewer; none over plain TCP on loopback"),
        Access::Local => json!("the control socket"),
        _ => json!(route.access.role()),
    };
    operation["security"] = security(route);
    if let Some(body) = operation.get_mut("requestBody").and_then(Value::as_object_mut) {
        let schema = &mut body["content"]["application/json"]["schema"];
        if let Some(other) = schema["oneOf"].as_array().and_then(|all| all.iter().find(|one| one["type"] != "null")) {
            *schema = other.clone();
            body.insert("required".to_owned(), json!(false));
        }
    }
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    parameters.into_iter().flatten().for_each(complete_parameter);
    for (status, description, applies) in COMMON {
        if applies(route, operation) {
            let answers = operation["responses"].as_object_mut().expect("every operation has answers");
            answers.entry(status).or_insert_with(|| problem(description));
        }
    }
}

/// A parameter that is not given is not there: none is null, and none of a query is empty.
fn complete_parameter(parameter: &mut Value) {
    let in_query = parameter["in"] == "query";
    let Some(schema) = parameter.get_mut("schema") else { return };
    if let Some(other) = schema["oneOf"].as_array().and_then(|all| all.iter().find(|one| one["type"] != "null")) {
        *schema = other.clone();
    }
    if let Some(kind) = schema["type"].as_array().and_then(|all| all.iter().find(|kind| **kind != "null")) {
        schema["type"] = kind.clone();
    }
    let Some(schema) = schema.as_object_mut().filter(|schema| !schema.contains_key("$ref")) else { return };
    let is_text = schema.get("type").is_some_and(|kind| kind == "string");
    if in_query && is_text && !schema.contains_key("pattern") && !schema.contains_key("enum") {
        schema.entry("minLength").or_insert_with(|| json!(1));
    }
}

fn problem(description: &str) -> Value {
    let schema = json!({ "$ref": "#/components/schemas/Problem" });
    json!({ "description": description, "content": { "application/problem+json": { "schema": schema } } })
}

fn schemes() -> Value {
    json!({
        "bearer": {
            "type": "http", "scheme": "bearer", "bearerFormat": "wp_…",
            "description": "For programs: a token of `werkpilot token create`.",
        },
        "session": {
            "type": "apiKey", "in": "cookie", "name": "werkpilot_3001",
            "description": "For browsers: the cookie that POST /api/v1/session sets. Its name ends in the port.",
        },
        "csrf": {
            "type": "apiKey", "in": "header", "name": "Werkpilot-Csrf",
            "description": "Beside the cookie, on every change: `csrf` of the session.",
        },
    })
}

/// One of these is enough.
fn security(route: &Route) -> Value {
    let bearer = json!({ "bearer": [] });
    let session = match route.method {
        Method::Get => json!({ "session": [] }),
        Method::Post | Method::Delete => json!({ "session": [], "csrf": [] }),
    };
    let nothing = Value::Object(Map::new());
    match route.access {
        Access::Public | Access::Local => json!([nothing]),
        Access::Overview => json!([nothing, bearer, session]),
        Access::Viewer | Access::Operator | Access::Admin => json!([bearer, session]),
    }
}
