//! The demo shop: plain pages with the widget's one tag, on an origin of their own and under the
//! strictest policy that the widget promises to work with.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::middleware::Next;
use axum::routing::get;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode, Uri};
use rust_embed::RustEmbed;

use super::assets::{kind_of, set};
use super::problem;

#[derive(RustEmbed)]
#[folder = "../widget-js/demo"]
#[allow_missing = true]
struct Shop;

/// What its pages are filled with.
#[derive(Debug)]
struct Filling {
    origin: String,
    site_key: String,
    policy: HeaderValue,
}

/// The shop of this site; `origin` is where browsers reach the public listener.
pub fn routes(origin: &str, site_key: &str) -> Router {
    let filling = Arc::new(Filling {
        origin: origin.to_owned(),
        site_key: site_key.to_owned(),
        policy: policy(origin),
    });
    let front = filling.clone();
    Router::new()
        .route("/", get(move || async move { page("index.html", &front) }))
        .route(
            "/{*path}",
            get(move |Path(path): Path<String>| async move { page(&path, &filling) }),
        )
        .layer(axum::middleware::from_fn(one_origin))
}

/// Who says `localhost` is sent to the address: to a browser the two are different origins, and the
/// site allows one of them.
async fn one_origin(request: Request, next: Next) -> Response<Body> {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let Some(there) = host.and_then(|host| by_address(host, request.uri())) else {
        return next.run(request).await;
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    response.headers_mut().insert(header::LOCATION, there);
    response
}

/// The same page at 127.0.0.1. Of the host that was asked for, only the port is taken over.
fn by_address(host: &str, asked: &Uri) -> Option<HeaderValue> {
    let (name, port) = host.split_once(':').unwrap_or((host, "80"));
    if !name.eq_ignore_ascii_case("localhost") {
        return None;
    }
    let port: u16 = port.parse().ok()?;
    let path = asked.path_and_query().map_or("/", |path| path.as_str());
    HeaderValue::try_from(format!("http://127.0.0.1:{port}{path}")).ok()
}

/// Script and connections from the widget's origin alone; everything else is the shop's own.
fn policy(origin: &str) -> HeaderValue {
    // A scheme of its own: a source with http does not cover the socket.
    let socket = origin.replacen("http", "ws", 1);
    let policy = format!(
        "default-src 'none'; script-src {origin}; connect-src {origin} {socket}; style-src 'self'; \
         img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// What a mistyped address shows.
const NOT_FOUND: &str = "404.html";

fn page(path: &str, filling: &Filling) -> Response<Body> {
    if let Some(found) = file(path, filling) {
        return found;
    }
    match file(NOT_FOUND, filling) {
        Some(mut page) => {
            *page.status_mut() = StatusCode::NOT_FOUND;
            page
        }
        None => problem(StatusCode::NOT_FOUND, "not-found", "The demo shop has no such page."),
    }
}

fn file(path: &str, filling: &Filling) -> Option<Response<Body>> {
    let (kind, file) = (kind_of(path)?, Shop::get(path)?);
    let body = if path.ends_with(".html") {
        let text = String::from_utf8_lossy(&file.data);
        Body::from(
            text.replace("__LIVEHELP_ORIGIN__", &filling.origin)
                .replace("__SITE_KEY__", &filling.site_key),
        )
    } else {
        Body::from(file.data.into_owned())
    };
    let mut response = Response::new(body);
    set(&mut response, header::CONTENT_TYPE, kind);
    set(&mut response, header::CACHE_CONTROL, "no-cache");
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, filling.policy.clone());
    Some(response)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn the_shop_names_the_site_and_allows_the_widget_alone() {
        let shop = routes("http://127.0.0.1:8080", "site_abc");
        let request = http::Request::get("/").body(Body::empty()).unwrap();
        let response = shop.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(
            policy.contains("connect-src http://127.0.0.1:8080 ws://127.0.0.1:8080;"),
            "{policy}"
        );
        assert!(policy.contains("trusted-types 'none'"), "{policy}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(text.contains(r#"src="http://127.0.0.1:8080/widget/loader.js""#), "{text}");
        assert!(text.contains(r#"data-site-key="site_abc""#), "{text}");
        for path in ["/../Cargo.toml", "/README.md", "/nothing.html"] {
            let request = http::Request::get(path).body(Body::empty()).unwrap();
            let response = shop.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
            assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8", "{path}");
        }
    }

    #[tokio::test]
    async fn who_says_localhost_is_sent_to_the_address_that_the_site_allows() {
        let shop = routes("http://127.0.0.1:8080", "site_abc");
        let ask = |host: &str| {
            let request = http::Request::get("/sencha.html?leaf=1").header("host", host);
            shop.clone().oneshot(request.body(Body::empty()).unwrap())
        };
        let sent = ask("localhost:8082").await.unwrap();
        assert_eq!(sent.status(), StatusCode::TEMPORARY_REDIRECT);
        assert_eq!(sent.headers()["location"], "http://127.0.0.1:8082/sencha.html?leaf=1");
        for host in ["127.0.0.1:8082", "localhost.example:8082", "localhost:x", "shop.example"] {
            assert_eq!(ask(host).await.unwrap().status(), StatusCode::OK, "{host}");
        }
    }
}
