//! The files of the pages, embedded and served as they are: compressed when the pages were built, never here.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use include_dir::{Dir, include_dir};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

/// `ui-dist/`, as the build of `ui/` left it.
static DIST: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/ui-dist");

/// What the server puts the way back to `/ui/` in place of.
const BASE: &str = "<base href=\"./\">";
/// Files whose name has a hash of their content.
const HASHED: &str = "assets/";
/// Notes of the build, which are nobody's business.
const NOT_SERVED: &str = "SOURCES.sha256";

/// Scripts, styles and requests of our own alone; nothing inline; no other page may frame it.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
                   connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'self'; form-action 'none'; \
                   frame-ancestors 'none'";

/// One file in the codings there are.
#[derive(Clone, Debug)]
struct Asset {
    plain: &'static [u8],
    brotli: Option<&'static [u8]>,
    gzip: Option<&'static [u8]>,
    media_type: &'static str,
    /// Of the content; each coding adds its name.
    hash: String,
}

/// A representation that was chosen.
struct Chosen {
    body: Bytes,
    etag: String,
    coding: Option<&'static str>,
}

static ASSETS: LazyLock<HashMap<&'static str, Asset>> = LazyLock::new(|| collect(&DIST));

fn collect(dir: &'static Dir<'static>) -> HashMap<&'static str, Asset> {
    let mut files: HashMap<&'static str, &'static [u8]> = HashMap::new();
    let mut dirs = vec![dir];
    while let Some(dir) = dirs.pop() {
        files.extend(dir.files().filter_map(|f| Some((f.path().to_str()?, f.contents()))));
        dirs.extend(dir.dirs());
    }
    let is_coding = |path: &str| {
        let of = path.strip_suffix(".br").or_else(|| path.strip_suffix(".gz"));
        of.is_some_and(|of| files.contains_key(of))
    };
    let coded = |path: &str, suffix: &str| files.get(format!("{path}{suffix}").as_str()).copied();
    files
        .iter()
        .filter(|(path, _)| !is_coding(path) && **path != NOT_SERVED)
        .map(|(path, plain)| {
            let asset = Asset {
                plain,
                brotli: coded(path, ".br"),
                gzip: coded(path, ".gz"),
                media_type: media_type(path),
                hash: hash(plain),
            };
            (*path, asset)
        })
        .collect()
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(12).fold(String::new(), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// Answers a request for `path`, which is what follows `/ui/`. What is no file is a page: `index.html`, whose script
/// reads the address. A file that another release had is not found, so that nobody runs HTML as a script.
pub(super) fn serve(method: &Method, path: &str, headers: &HeaderMap) -> Response {
    let (asset, page) = match ASSETS.get(path).filter(|_| path != "index.html") {
        Some(asset) => (Some(asset), false),
        None if path.starts_with(HASHED) => (None, false),
        None => (ASSETS.get("index.html"), true),
    };
    let Some(asset) = asset else { return status(StatusCode::NOT_FOUND) };
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut response = status(StatusCode::METHOD_NOT_ALLOWED);
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let chosen = if page { at_depth(asset, depth(path)) } else { choose(asset, headers) };
    let is_known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|known| names(known, &chosen.etag));
    let mut response = status(if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    let out = response.headers_mut();
    let mut set = |name, value: &str| {
        if let Ok(value) = HeaderValue::try_from(value) {
            out.insert(name, value);
        }
    };
    set(header::ETAG, &chosen.etag);
    set(header::VARY, "accept-encoding");
    let hashed = path.starts_with(HASHED);
    set(header::CACHE_CONTROL, if hashed { "public, max-age=31536000, immutable" } else { "no-cache" });
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::CONTENT_SECURITY_POLICY, CSP);
    set(header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    if is_known {
        return response;
    }
    set(header::CONTENT_TYPE, asset.media_type);
    set(header::CONTENT_LENGTH, &chosen.body.len().to_string());
    if let Some(coding) = chosen.coding {
        set(header::CONTENT_ENCODING, coding);
    }
    if *method == Method::GET {
        *response.body_mut() = Body::from(chosen.body);
    }
    response
}

fn status(code: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = code;
    response
}

/// How many folders below `/ui/` the page's relative addresses start from.
fn depth(path: &str) -> usize {
    path.bytes().filter(|b| *b == b'/').count()
}

/// The page with its way back to `/ui/`, whatever stands before that on the outside.
fn at_depth(asset: &Asset, depth: usize) -> Chosen {
    let text = String::from_utf8_lossy(asset.plain);
    let up = if depth == 0 { "./".into() } else { "../".repeat(depth) };
    let body = text.replacen(BASE, &format!("<base href=\"{up}\">"), 1);
    Chosen { body: body.into(), etag: format!("\"{}-{depth}\"", asset.hash), coding: None }
}

/// The smallest representation that the client takes.
fn choose(asset: &Asset, headers: &HeaderMap) -> Chosen {
    let accepted: Vec<&str> =
        headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|v| v.to_str().ok()).collect();
    let accepted = accepted.join(",");
    for (coding, body) in [("br", asset.brotli), ("gzip", asset.gzip)] {
        if let Some(body) = body
            && accepts(&accepted, coding)
        {
            let etag = format!("\"{}-{coding}\"", asset.hash);
            return Chosen { body: Bytes::from_static(body), etag, coding: Some(coding) };
        }
    }
    Chosen { body: Bytes::from_static(asset.plain), etag: format!("\"{}\"", asset.hash), coding: None }
}

/// Whether `Accept-Encoding` takes a coding: by its name, or by a star where its name is not there.
fn accepts(field: &str, coding: &str) -> bool {
    let weight = |name: &str| {
        field.split(',').find_map(|item| {
            let mut parts = item.split(';').map(str::trim);
            parts.next().filter(|own| own.eq_ignore_ascii_case(name))?;
            let q = parts.find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q=")));
            Some(q.map_or(1.0, |q| q.trim().parse().unwrap_or(0.0)))
        })
    };
    weight(coding).or_else(|| weight("*")).is_some_and(|q: f32| q > 0.0)
}

/// Whether `If-None-Match` has the tag, by weak comparison.
fn names(field: &str, etag: &str) -> bool {
    field.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::path::Path;

    #[test]
    fn codings_are_taken_as_the_client_weighs_them() {
        assert!(accepts("gzip, deflate, br", "br"));
        assert!(accepts("GZIP;q=0.5", "gzip"));
        assert!(accepts("*", "br"));
        assert!(!accepts("br;q=0, *", "br"));
        assert!(!accepts("br;q=nonsense", "br"));
        assert!(!accepts("", "br"));
        assert!(!accepts("brotli", "br"));
    }

    #[test]
    fn tags_are_compared_weakly() {
        assert!(names("W/\"a-br\"", "\"a-br\""));
        assert!(names("\"x\", \"a\"", "\"a\""));
        assert!(names("*", "\"a\""));
        assert!(!names("\"a\"", "\"a-br\""));
    }

    #[test]
    fn the_page_is_there_and_says_where_it_stands() {
        let index = ASSETS.get("index.html").expect("the page is embedded");
        let text = std::str::from_utf8(index.plain).expect("it is text");
        assert_eq!(text.matches(BASE).count(), 1, "{BASE} once, to be put right at each depth");
        assert!(text.contains("<noscript>"));
        assert!(index.brotli.is_none() && index.gzip.is_none(), "the page is changed when served");
        for (path, up) in [("", "./"), ("services", "./"), ("services/a", "../"), ("a/b/", "../../")] {
            let page = at_depth(index, depth(path));
            let text = String::from_utf8_lossy(&page.body);
            assert!(text.contains(&format!("<base href=\"{up}\">")), "{path}: {text}");
        }
    }

    /// The build notes the hash of every source beside what it made of them, so that no Node is needed to tell.
    #[test]
    fn the_pages_are_what_their_sources_say_now() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let sources = root.join("ui");
        if !sources.is_dir() {
            assert!(!root.join("xtask").is_dir(), "ui/ has moved: this test, the build and ci/ui.sh name it");
            // A crate that was downloaded has the pages alone.
            return;
        }
        let noted =
            DIST.get_file(NOT_SERVED).and_then(|f| f.contents_utf8()).expect("the build noted its sources");
        let noted: BTreeMap<String, String> = noted
            .lines()
            .filter_map(|line| line.split_once("  "))
            .map(|(hash, name)| (name.to_owned(), hash.to_owned()))
            .collect();
        let mut there = BTreeMap::new();
        for top in ["index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts"] {
            there.insert(top.to_owned(), sources.join(top));
        }
        let mut folders = ["public", "scripts", "src"].map(|name| sources.join(name)).to_vec();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("the sources can be read") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let name = path.strip_prefix(&sources).expect("it is below").to_str().expect("a plain name");
                there.insert(name.to_owned(), path.clone());
            }
        }
        // Tests are noted, too, and make no difference to the pages.
        let counts = |name: &String| !name.starts_with("tests/") && !name.contains(".test.");
        let advice = "run `npm ci && npm run build` in ui/ and commit crates/ellie-server/ui-dist/";
        assert!(there.len() > 40, "{there:?}");
        for (name, path) in there.iter().filter(|(name, _)| counts(name)) {
            let now = Sha256::digest(std::fs::read(path).expect("a source"));
            let now = now.iter().fold(String::new(), |out, b| out + &format!("{b:02x}"));
            assert_eq!(
                noted.get(name),
                Some(&now),
                "ui/{name} is not what the pages were built from: {advice}"
            );
        }
        for name in noted.keys().filter(|name| counts(name)) {
            assert!(
                there.contains_key(name),
                "ui/{name} is gone, and the pages were built from it: {advice}"
            );
        }
    }

    /// A strict policy lets none of it run, so a page that has it is broken.
    #[test]
    fn the_page_has_nothing_inline() {
        let index = ASSETS.get("index.html").expect("the page is embedded");
        let text = std::str::from_utf8(index.plain).expect("it is text").to_ascii_lowercase();
        assert!(!text.contains("<style"), "an inline style");
        assert!(!text.contains(" style=") && !text.contains(" onclick=") && !text.contains("javascript:"));
        for script in text.split("<script").skip(1) {
            assert!(script.split('>').next().is_some_and(|tag| tag.contains("src=")), "an inline script");
        }
    }
}
