//! The dashboard: one page and its modules, embedded in the binary.
//!
//! A file is served by its name in the binary or not at all: no path of a request ever reaches a file system but in a debug
//! build, where the files are read from the source tree so that a change needs no compiler.
//!
//! The page names its files below a version made of all their bytes, so a browser asks for each once per release; the same
//! names without the version are checked with an ETag. Compressed once, on first use.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::OnceLock;

use actix_web::http::header::{self, EntityTag, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

use crate::compress::takes_gzip;
use crate::etag;
use crate::gate::page_policy;
use crate::problem::Problem;

/// Everything below `dashboard/`.
#[derive(RustEmbed)]
#[folder = "dashboard/"]
struct Files;

/// The page itself; the other files are its assets.
const PAGE: &str = "index.html";
/// Stands for the version in the page.
const VERSION: &str = "{version}";
/// Hexadecimal digits of the version in a path.
const VERSION_LENGTH: usize = 12;
/// In a debug build files change under us, so nothing is kept.
const FROM_DISK: bool = cfg!(debug_assertions);
/// Smaller files do not gain by compression.
const WORTH_COMPRESSING: usize = 512;

/// A file as it is served.
#[derive(Clone)]
struct Asset {
    kind: &'static str,
    plain: Bytes,
    gzip: Option<Bytes>,
    tag: String,
}

impl Asset {
    fn of(name: &str, plain: Bytes) -> Self {
        let tag = etag::digits(&plain);
        let gzip =
            (plain.len() >= WORTH_COMPRESSING).then(|| compressed(&plain)).filter(|gzip| gzip.len() < plain.len());
        Self { kind: kind(name), plain, gzip, tag }
    }

    /// Answers a request for it.
    fn answer(&self, request: &HttpRequest, cache: &'static str) -> HttpResponse {
        let gzip = self.gzip.as_ref().filter(|_| takes_gzip(request.headers()));
        let tag = EntityTag::new_strong(if gzip.is_some() { format!("{}-gzip", self.tag) } else { self.tag.clone() });
        let unchanged = etag::is_known(request, &tag);
        let mut answer = HttpResponse::build(if unchanged { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
        answer
            .insert_header((header::ETAG, tag.to_string()))
            .insert_header((header::VARY, "accept-encoding"))
            .insert_header((header::CACHE_CONTROL, HeaderValue::from_static(cache)));
        if unchanged {
            return answer.finish();
        }
        answer.content_type(self.kind);
        if gzip.is_some() {
            answer.insert_header((header::CONTENT_ENCODING, "gzip"));
        }
        answer.body(gzip.unwrap_or(&self.plain).clone())
    }
}

/// All files, and what the page needs to know of them.
struct Release {
    version: String,
    import_map_hash: String,
    assets: BTreeMap<String, Asset>,
}

impl Release {
    fn new() -> Self {
        let mut all = Vec::new();
        let mut names: Vec<Cow<'static, str>> = Files::iter().collect();
        names.sort_unstable();
        for name in &names {
            all.extend_from_slice(name.as_bytes());
            all.extend_from_slice(&read(name).unwrap_or_default());
        }
        let version =
            if FROM_DISK { "0".repeat(VERSION_LENGTH) } else { etag::digits(&all)[..VERSION_LENGTH].to_owned() };
        let page = page_text(&version);
        let import_map_hash = STANDARD.encode(Sha256::digest(import_map(&page).as_bytes()));
        let mut assets = BTreeMap::new();
        if !FROM_DISK {
            for name in names {
                let bytes = if name == PAGE { page.clone().into() } else { read(&name).unwrap_or_default() };
                assets.insert(name.to_string(), Asset::of(&name, bytes));
            }
        }
        Self { version, import_map_hash, assets }
    }

    fn asset(&self, name: &str) -> Option<Asset> {
        if !FROM_DISK {
            return self.assets.get(name).cloned();
        }
        // The name has to be one of the tree's, so that nothing is made of a path that a request brings.
        Files::iter().find(|known| known == name)?;
        let bytes = if name == PAGE { page_text(&self.version).into() } else { read(name)? };
        Some(Asset::of(name, bytes))
    }
}

fn release() -> &'static Release {
    static RELEASE: OnceLock<Release> = OnceLock::new();
    RELEASE.get_or_init(Release::new)
}

/// The SHA-256 of the page's import map, in base64: the one inline script that the content security policy lets in.
pub(crate) fn import_map_hash() -> &'static str {
    &release().import_map_hash
}

/// The page.
pub(crate) async fn show(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let asset = release().asset(PAGE).ok_or_else(|| unknown("/"))?;
    let mut answer = asset.answer(&request, "no-cache");
    if let Ok(policy) = HeaderValue::from_str(&page_policy(import_map_hash())) {
        answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    Ok(answer)
}

/// One of its files: `/assets/<version>/<name>` for a year, `/assets/<name>` as long as its ETag says.
pub(crate) async fn asset(request: HttpRequest) -> Result<HttpResponse, Problem> {
    debug_assert!(matches!(*request.method(), Method::GET | Method::HEAD));
    let path = request.match_info().query("file");
    let (version, name) = match path.split_once('/') {
        Some((first, rest)) if is_version(first) => (Some(first), rest),
        _ => (None, path),
    };
    let asset = release().asset(name).filter(|_| name != PAGE).ok_or_else(|| unknown(request.path()))?;
    let release = release();
    // A page of an earlier release gets what there is now, and does not keep it.
    let current = !FROM_DISK && version == Some(release.version.as_str());
    Ok(asset.answer(&request, if current { "public, max-age=31536000, immutable" } else { "no-cache" }))
}

fn unknown(path: &str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("there is nothing at {path}")).hint("the dashboard is at /")
}

fn is_version(text: &str) -> bool {
    text.len() == VERSION_LENGTH && text.bytes().all(|digit| digit.is_ascii_hexdigit())
}

fn read(name: &str) -> Option<Bytes> {
    Some(match Files::get(name)?.data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    })
}

fn page_text(version: &str) -> String {
    let bytes = read(PAGE).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace(VERSION, version)
}

/// What stands between the tags of the import map.
fn import_map(page: &str) -> &str {
    const BEGIN: &str = "<script type=\"importmap\">";
    page.split_once(BEGIN).and_then(|(_, rest)| rest.split_once("</script>")).map_or("", |(map, _)| map)
}

fn compressed(plain: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 2), Compression::best());
    // Writing to memory can't fail.
    let _ = encoder.write_all(plain);
    encoder.finish().unwrap_or_default().into()
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What a view may bring, the shell, its libraries and its style included, to a browser that has nothing yet.
    const BUDGET: usize = 150 * 1024;

    fn text(name: &str) -> String {
        String::from_utf8(read(name).unwrap().to_vec()).unwrap()
    }

    /// The module with all that it imports, and what those load by themselves.
    fn with_imports(name: &str, all: &mut BTreeSet<String>) {
        if !all.insert(name.to_owned()) || !name.ends_with("js") {
            return;
        }
        let source = text(name);
        for line in source.lines().filter(|line| line.starts_with("import ") || line.starts_with("export ")) {
            let Some(path) = line.split('"').nth(1).filter(|path| path.starts_with('.')) else { continue };
            let mut parts: Vec<&str> = name.split('/').collect();
            parts.pop();
            for part in path.split('/') {
                match part {
                    "." => {}
                    ".." => drop(parts.pop()),
                    part => parts.push(part),
                }
            }
            with_imports(&parts.join("/"), all);
        }
        if source.contains("vendor/uplot.js") {
            all.insert("vendor/uplot.js".to_owned());
        }
    }

    #[test]
    fn a_view_brings_less_than_150_kb_compressed_with_everything_that_it_needs() {
        let page = text(PAGE);
        let mut shell = BTreeSet::from([PAGE.to_owned()]);
        for name in page.split('"').filter_map(|part| part.strip_prefix("/assets/{version}/")) {
            with_imports(name, &mut shell);
        }
        let views: Vec<_> = Files::iter().filter(|name| name.starts_with("js/views/")).collect();
        assert!(views.len() > 10, "{views:?}");
        for view in views {
            let mut all = shell.clone();
            with_imports(&view, &mut all);
            let style = view.replace("js/views/", "css/").replace(".js", ".css");
            all.extend(Files::get(&style).map(|_| style));
            let sum: usize = all.iter().map(|name| compressed(&read(name).unwrap()).len()).sum();
            assert!(sum < BUDGET, "{view}: {sum} bytes: {all:?}");
        }
    }

    #[test]
    fn every_file_that_the_page_names_is_there() {
        let page = text(PAGE);
        let names: Vec<&str> = page
            .split(['"', '\''])
            .filter_map(|part| part.strip_prefix("/assets/{version}/"))
            .filter(|name| !name.ends_with('/'))
            .collect();
        assert!(names.len() > 10, "{names:?}");
        for name in names {
            assert!(Files::get(name).is_some(), "{name}");
        }
    }

    #[test]
    fn the_page_has_one_inline_script_and_that_is_the_import_map() {
        let page = text(PAGE);
        let map: serde_json::Value = serde_json::from_str(import_map(&page)).unwrap();
        assert!(map["imports"]["preact"].is_string());
        for tag in page.split("<script").skip(1) {
            assert!(tag.contains("src=\"/assets/") || tag.starts_with(" type=\"importmap\">"), "{tag}");
        }
        assert!(
            !page.contains(" style=") && !page.contains("<style") && !page.contains(" onclick"),
            "the policy forbids it"
        );
    }

    #[test]
    fn our_modules_make_no_markup_of_text() {
        for name in Files::iter().filter(|name| name.starts_with("js/")) {
            let source = text(&name);
            for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"] {
                assert!(!source.contains(word), "{name}: {word}");
            }
        }
    }

    #[test]
    fn only_versions_are_versions() {
        assert!(is_version("0123456789ab"));
        for other in ["js", "", "0123456789ag", "0123456789abc"] {
            assert!(!is_version(other), "{other}");
        }
    }
}
