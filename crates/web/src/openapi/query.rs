//! Query parameters that an operation does not know, and empty ones, are refused: a misspelled filter would answer too
//! much.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use actix_web::HttpRequest;
use actix_web::web::Query;
use serde_json::Value;

use super::common::PREFIX;
use crate::problem::Problem;

/// By path: the names that its operations take.
type Known = BTreeMap<String, Vec<String>>;

/// Checks the names in the query of a request against the document.
pub(crate) fn check_query(request: &HttpRequest) -> Result<(), Problem> {
    static KNOWN: OnceLock<Known> = OnceLock::new();
    let query = request.query_string();
    if query.is_empty() || !request.path().starts_with(PREFIX) {
        return Ok(());
    }
    let Some(known) = request.match_pattern().and_then(|path| KNOWN.get_or_init(known).get(&path)) else {
        return Ok(());
    };
    let pairs = Query::<Vec<(String, String)>>::from_query(query);
    let pairs = pairs.map_err(|error| Problem::bad_request(format!("the query can't be read: {error}")))?;
    for (name, value) in &*pairs {
        if !known.contains(name) {
            return Err(unknown(name, known));
        }
        if value.is_empty() {
            let problem = Problem::bad_request(format!("the query parameter {name} is empty"));
            return Err(problem.with("parameter", name).hint("leave it out, or give it a value"));
        }
    }
    Ok(())
}

fn unknown(name: &str, known: &[String]) -> Problem {
    let there_are =
        if known.is_empty() { "it takes none".to_owned() } else { format!("it takes {}", known.join(", ")) };
    Problem::bad_request(format!("there is no query parameter {name:?} here; {there_are}")).with("parameter", name)
}

fn known() -> Known {
    let document = super::document();
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.map(|(path, item)| (path.clone(), names(item))).collect()
}

fn names(item: &Value) -> Vec<String> {
    let operations = item.as_object().into_iter().flatten().map(|(_, operation)| operation);
    let parameters = operations.filter_map(|operation| operation["parameters"].as_array()).flatten();
    let queries = parameters.filter(|parameter| parameter["in"] == "query");
    queries.filter_map(|parameter| parameter["name"].as_str()).map(ToOwned::to_owned).collect()
}
