//! Static files out of the binary: the console and the widget, in the encodings that their builds
//! stored.
//!
//! A build of the server without the front ends works: one page says what is missing. In a debug
//! build the files are read from their folders, so that a front end can be rebuilt beside a running
//! server.

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::get;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::{head, problem};

/// What the console's page may do: its own files and its own server, no inline code, no frame
/// around it.
const CONSOLE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self'; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// For files whose name changes with their content.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// The loader's name never changes: a new widget reaches every page within five minutes.
const LOADER_LIFE: &str = "public, max-age=300";

/// May be kept, but has to be asked for each time.
const ASK_FIRST: &str = "no-cache";

/// Shown in place of a console that was not built.
const NO_CONSOLE: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
    <title>livehelp</title></head><body><h1>The console was not built</h1>\
    <p>This server was compiled without its front ends. Run <code>cargo xtask run</code>, \
    or <code>npm ci &amp;&amp; npm run build</code> in <code>console</code> and <code>widget-js</code>, \
    and compile it again.</p></body></html>\n";

#[derive(RustEmbed)]
#[folder = "../console/dist"]
#[allow_missing = true]
struct Console;

#[derive(RustEmbed)]
#[folder = "../widget-js/dist"]
#[allow_missing = true]
struct Widget;

/// Where the files of one front end come from.
pub(super) type Files = fn(&str) -> Option<EmbeddedFile>;

/// The console at `/`, the widget at `/widget`.
pub fn routes() -> Router {
    routes_of(Console::get, Widget::get)
}

fn routes_of(console: Files, widget: Files) -> Router {
    let page = move |headers: HeaderMap| async move { console_page(console, &headers) };
    let asset = move |Path(path): Path<String>, headers: HeaderMap| async move {
        file(console, &format!("assets/{path}"), &headers, FOR_EVER)
    };
    let bundle = move |Path(path): Path<String>, headers: HeaderMap| async move {
        widget_file(widget, &path, &headers)
    };
    Router::new()
        .route("/", get(page))
        .route("/assets/{*path}", get(asset))
        .route("/widget/{*path}", get(bundle).options(preflight))
}

fn console_page(files: Files, headers: &HeaderMap) -> Response<Body> {
    let mut response = match files("index.html") {
        Some(_) => file(files, "index.html", headers, ASK_FIRST),
        None => {
            let mut page = Response::new(Body::from(NO_CONSOLE));
            *page.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            set(&mut page, header::CONTENT_TYPE, "text/html; charset=utf-8");
            page
        }
    };
    set(&mut response, header::CONTENT_SECURITY_POLICY, CONSOLE_POLICY);
    set(&mut response, HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(&mut response, HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(&mut response, header::X_FRAME_OPTIONS, "DENY");
    response
}

/// The answer to a browser that asks first whether another site's page may load this: some pages
/// add headers of their own to every request. Without cookies any page may.
pub async fn preflight(headers: HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    open_to_all(&headers, response.headers_mut());
    set(&mut response, header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD");
    set(&mut response, header::ACCESS_CONTROL_MAX_AGE, "86400");
    set(&mut response, header::ALLOW, "GET, HEAD, OPTIONS");
    set(&mut response, header::VARY, "origin, access-control-request-headers");
    set(&mut response, HeaderName::from_static("cross-origin-resource-policy"), "cross-origin");
    // Named one by one: a star does not cover `Authorization`, and older browsers know none.
    let asked = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
    let allowed = asked.cloned().unwrap_or(HeaderValue::from_static("*"));
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    response
}

fn widget_file(files: Files, path: &str, headers: &HeaderMap) -> Response<Body> {
    let mut response = match path {
        "loader.js" => file(files, path, headers, LOADER_LIFE),
        asset if asset.starts_with("assets/") => file(files, path, headers, FOR_EVER),
        _ => missing(),
    };
    // Other sites' pages load these, and read why they cannot.
    set(&mut response, header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    set(&mut response, HeaderName::from_static("cross-origin-resource-policy"), "cross-origin");
    response
}

/// One file, in the best encoding that its build stored and the browser takes.
pub(super) fn file(
    files: Files,
    path: &str,
    headers: &HeaderMap,
    life: &'static str,
) -> Response<Body> {
    // A debug build reads from disk, where `..` would lead out of the folder that was meant.
    if path.split('/').any(|part| part == "..") {
        return missing();
    }
    // The stored encodings are no files of their own.
    let Some(kind) = kind_of(path) else { return missing() };
    let Some(plain) = files(path) else { return missing() };
    let stored = ["br", "gzip"].into_iter().filter(|encoding| takes(headers, encoding)).find_map(
        |encoding| {
            let suffix = if encoding == "br" { "br" } else { "gz" };
            Some((files(&format!("{path}.{suffix}"))?, encoding))
        },
    );
    let (file, encoding) = match stored {
        Some((file, encoding)) => (file, Some(encoding)),
        None => (plain, None),
    };
    let tag = etag(&file);
    let known = head::items(headers, header::IF_NONE_MATCH)
        .any(|known| known == "*" || known.trim_start_matches("W/") == tag);
    let mut response = if known {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        let mut response = Response::new(Body::from(file.data.into_owned()));
        set(&mut response, header::CONTENT_TYPE, kind);
        if let Some(encoding) = encoding {
            set(&mut response, header::CONTENT_ENCODING, encoding);
        }
        response
    };
    set(&mut response, header::VARY, "accept-encoding");
    set(&mut response, header::CACHE_CONTROL, life);
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Lets any page read an answer in which no cookie counts: by its name, for a page may have its own
/// `fetch` send its cookies along, and then a star is not enough.
pub(crate) fn open_to_all(asked: &HeaderMap, answer: &mut HeaderMap) {
    match asked.get(header::ORIGIN) {
        Some(origin) => {
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            let yes = HeaderValue::from_static("true");
            answer.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
        None => {
            let any = HeaderValue::from_static("*");
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
        }
    }
}

fn missing() -> Response<Body> {
    problem(StatusCode::NOT_FOUND, "not-found", "There is no such file.")
}

pub(super) fn set(response: &mut Response<Body>, name: HeaderName, value: &'static str) {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
}

/// Half of the content's hash, which is enough to tell versions apart.
fn etag(file: &EmbeddedFile) -> String {
    let hash = file.metadata.sha256_hash();
    let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

fn takes(headers: &HeaderMap, encoding: &str) -> bool {
    head::wanted(headers, header::ACCEPT_ENCODING, encoding).0 > 0
}

/// The media type; `None` for what is not handed out.
pub(super) fn kind_of(path: &str) -> Option<&'static str> {
    Some(match path.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "webmanifest" => "application/manifest+json",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use http_body_util::BodyExt as _;
    use rust_embed::Metadata;
    use tower::ServiceExt as _;

    use super::*;

    fn fixture(path: &str) -> Option<EmbeddedFile> {
        let text: &'static str = match path {
            "index.html" => "<!doctype html>",
            "assets/console-abc123.js" | "assets/main-abc123.js" => "plain",
            "assets/console-abc123.js.br" => "as brotli",
            "assets/console-abc123.js.gz" => "as gzip",
            "loader.js" => "loader",
            _ => return None,
        };
        let mut hash = [7; 32];
        hash[0] = u8::try_from(text.len()).unwrap();
        let metadata = Metadata::__rust_embed_new(hash, None, None);
        Some(EmbeddedFile { data: Cow::Borrowed(text.as_bytes()), metadata })
    }

    fn nothing(_: &str) -> Option<EmbeddedFile> {
        None
    }

    async fn ask(router: Router, path: &str, headers: &[(&str, &str)]) -> (Response<()>, String) {
        let mut request = http::Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (Response::from_parts(head, ()), String::from_utf8(body.to_vec()).unwrap())
    }

    fn header<'a>(response: &'a Response<()>, name: &str) -> &'a str {
        response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[tokio::test]
    async fn a_file_comes_in_the_best_encoding_that_the_browser_takes() {
        let path = "/assets/console-abc123.js";
        for (takes, encoding, body) in [
            ("gzip, deflate, br, zstd", "br", "as brotli"),
            ("gzip", "gzip", "as gzip"),
            ("br;q=0, gzip;q=0.5", "gzip", "as gzip"),
            ("identity", "", "plain"),
        ] {
            let (response, text) =
                ask(routes_of(fixture, fixture), path, &[("accept-encoding", takes)]).await;
            assert_eq!((header(&response, "content-encoding"), text.as_str()), (encoding, body));
            assert_eq!(header(&response, "cache-control"), FOR_EVER);
            assert_eq!(header(&response, "content-type"), "text/javascript; charset=utf-8");
            assert_eq!(header(&response, "vary"), "accept-encoding");
        }
    }

    #[tokio::test]
    async fn the_console_is_asked_for_each_time_and_runs_nothing_from_elsewhere() {
        let (response, _) = ask(routes_of(fixture, fixture), "/", &[]).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(&response, "cache-control"), "no-cache");
        assert_eq!(header(&response, "cross-origin-opener-policy"), "same-origin");
        let policy = header(&response, "content-security-policy");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"));
        let tag = header(&response, "etag").to_owned();
        let (again, body) = ask(routes_of(fixture, fixture), "/", &[("if-none-match", &tag)]).await;
        assert_eq!((again.status(), body.as_str()), (StatusCode::NOT_MODIFIED, ""));
        assert!(header(&again, "content-security-policy").contains("default-src 'none'"));
    }

    #[tokio::test]
    async fn widget_files_may_be_loaded_by_any_page() {
        let (loader, body) = ask(routes_of(fixture, fixture), "/widget/loader.js", &[]).await;
        assert_eq!((header(&loader, "cache-control"), body.as_str()), (LOADER_LIFE, "loader"));
        assert_eq!(header(&loader, "access-control-allow-origin"), "*");
        let (bundle, _) =
            ask(routes_of(fixture, fixture), "/widget/assets/main-abc123.js", &[]).await;
        assert_eq!(header(&bundle, "cache-control"), FOR_EVER);
        let (refusal, _) = ask(routes_of(fixture, nothing), "/widget/loader.js", &[]).await;
        assert_eq!(refusal.status(), StatusCode::NOT_FOUND);
        assert_eq!(header(&refusal, "access-control-allow-origin"), "*");
    }

    #[tokio::test]
    async fn a_server_without_a_console_says_how_to_build_one() {
        let (response, body) = ask(routes_of(nothing, nothing), "/", &[]).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.contains("cargo xtask run"));
    }

    #[tokio::test]
    async fn only_files_of_a_build_are_handed_out() {
        for path in [
            "/assets/../index.html",
            "/assets/..%2F..%2FCargo.toml",
            "/assets/%2Fetc%2Fpasswd",
            "/assets/console-abc123.js.br",
            "/widget/manifest.json",
            "/widget/index.html",
        ] {
            let (response, _) = ask(routes_of(fixture, fixture), path, &[]).await;
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
            let (real, _) = ask(routes(), path, &[]).await;
            assert_eq!(real.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }
}
