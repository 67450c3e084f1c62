//! The OpenAPI document: it is what is checked in, it has the operations that there are, and a viewer.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use common::{Plan, Request, job};
use serde_json::Value;
use werkpilot_web::openapi::document;
use werkpilot_web::routes::ROUTES;

/// Beside the path: what all paths of the document begin with.
const PREFIX: &str = "/api/v1/";

fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation))
    });
    operations.collect()
}

#[test]
fn the_document_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let made = serde_json::to_string_pretty(&document()).unwrap() + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == made,
        "docs/openapi.json is not what the code says: run `make openapi`, and look at the difference"
    );
}

#[test]
fn routes_and_document_have_the_same_operations() {
    let document = document();
    let told: BTreeSet<_> = operations(&document).into_iter().map(|(method, path, _)| (path, method)).collect();
    let there: BTreeSet<_> = ROUTES
        .iter()
        .filter(|route| route.path.starts_with(PREFIX))
        .map(|route| (route.path.to_owned(), route.method.as_str().to_owned()))
        .collect();
    let untold: Vec<_> = there.difference(&told).collect();
    assert!(untold.is_empty(), "without #[utoipa::path], or without a line in web/src/openapi/mod.rs: {untold:#?}");
    let gone: Vec<_> = told.difference(&there).collect();
    assert!(gone.is_empty(), "in the document, and not in ROUTES: {gone:#?}");
}

#[test]
fn every_operation_says_what_it_does_and_who_may_use_it_and_how_it_goes_wrong() {
    let document = document();
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap_or_default();
        assert!(ids.insert(id.to_owned()), "{method} {path}: the operation id {id:?} is not its own");
        for member in ["summary", "x-werkpilot-role"] {
            assert!(operation[member].as_str().is_some_and(|text| !text.is_empty()), "{method} {path} has no {member}");
        }
        let tags = operation["tags"].as_array().map_or(0, Vec::len);
        assert_eq!(tags, 1, "{method} {path} has one tag");
        for (status, answer) in operation["responses"].as_object().unwrap() {
            let answer = match answer["$ref"].as_str() {
                Some(target) => document.pointer(&target[1..]).unwrap(),
                None => answer,
            };
            let types: Vec<_> = answer["content"].as_object().into_iter().flatten().map(|(kind, _)| kind).collect();
            if status.starts_with(['4', '5']) {
                assert_eq!(types, ["application/problem+json"], "{method} {path} {status}");
            }
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let told = parameter["description"].as_str().is_some_and(|text| !text.is_empty());
            assert!(told, "{method} {path}: nobody knows what {} means", parameter["name"]);
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn look(document: &Value, value: &Value) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(target)) = members.get("$ref") {
                    let pointer = target.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{target} is not there");
                }
                members.values().for_each(|member| look(document, member));
            }
            Value::Array(items) => items.iter().for_each(|item| look(document, item)),
            _ => {}
        }
    }
    let document = document();
    look(&document, &document);
}

/// The names of schemas that a source derives: those of the types, unless `as` says otherwise.
fn derived(source: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut names = Vec::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        if !(line.trim_start().starts_with("#[derive(") && line.contains("ToSchema")) {
            continue;
        }
        let mut other = None;
        for line in lines.by_ref().map(str::trim) {
            if let Some((_, name)) = line.split_once("#[schema(as = ") {
                other = Some(word(name));
            }
            if let Some((_, name)) = line.split_once("struct ").or_else(|| line.split_once("enum ")) {
                names.push(other.unwrap_or_else(|| word(name)));
                break;
            }
        }
    }
    names
}

/// Of two with one name, one would take the place of the other without a word.
#[test]
fn no_two_schemas_have_one_name() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders: Vec<_> = ["core", "runtime", "store", "web"].map(|name| crates.join(name).join("src")).into();
    let mut names = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                names.extend(derived(&fs::read_to_string(path).unwrap()));
            }
        }
    }
    assert!(names.len() > 100, "they were looked for in the wrong place");
    names.sort_unstable();
    let twice: Vec<_> = names.windows(2).filter(|two| two[0] == two[1]).map(|two| &two[0]).collect();
    assert!(twice.is_empty(), "give one of each a name of its own with #[schema(as = ..)]: {twice:?}");
}

fn site() -> Plan {
    Plan::of(vec![job("a", "true")])
}

#[test]
fn the_viewer_needs_no_inline_script_and_nobody_else() {
    site().run(|site| async move {
        let page = site.tcp(&Request::new("GET", "/api/docs")).await;
        assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
        let policy = page.header("content-security-policy");
        assert!(policy.contains("default-src 'none'; script-src 'self';"), "{policy}");
        let mut files = 0;
        for part in page.text().split(['<', '>']).filter(|part| part.starts_with("script") || part.starts_with("link"))
        {
            let file =
                part.split('"').find(|value| value.starts_with('/')).expect("nothing is inline or from elsewhere");
            let answer = site.tcp_head(&Request::new("GET", file)).await;
            assert_eq!(answer.status, 200, "{file}");
            files += 1;
        }
        assert_eq!(files, 4, "an icon, a style sheet and two scripts");
        for file in ["swagger-initializer.js", "index.html", "..%2fstart.js", "nothing.js"] {
            site.tcp(&Request::new("GET", &format!("/api/docs/{file}"))).await.problem(404);
        }
        let served = site.tcp(&Request::new("GET", "/api/v1/openapi.json")).await.json();
        assert_eq!(served, document());
    });
}

#[test]
fn what_an_operation_does_not_know_is_refused_and_named() {
    site().run(|site| async move {
        for (query, named) in [("statsu=error", "statsu"), ("limit=1&%63olour=red", "colour"), ("status=", "status")] {
            let problem = site.tcp(&Request::new("GET", &format!("/api/v1/agents?{query}"))).await.problem(400);
            assert_eq!(problem["parameter"], named, "{problem}");
        }
        for query in ["limit=0", "limit=10001", "limit=many", "kind=robot", "status=fine"] {
            let problem = site.tcp(&Request::new("GET", &format!("/api/v1/agents?{query}"))).await.problem(400);
            assert!(problem["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{problem}");
        }
        let stale = site.tcp(&Request::new("GET", "/api/v1/agents?cursor=gone")).await.problem(410);
        assert_eq!(stale["hint"], "begin anew, without a cursor");
    });
}
