//! What each path answers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use crate::settings::Settings;

pub(crate) type Body = BoxBody<Bytes, hyper::Error>;

/// LIMIT: `/slow` waits at most so long.
const SLOW_MAX: Duration = Duration::from_secs(60);

/// Goods on sale. A real shop would have a database.
const ITEMS: [(&str, u32); 4] =
    [("Signal flag", 1900), ("Sextant", 24900), ("Oilskin", 8950), ("Ship's biscuit", 350)];

/// One instance of the shop.
pub(crate) struct Shop {
    settings: Settings,
    requests: AtomicU64,
}

impl Shop {
    pub(crate) fn new(settings: Settings) -> Shop {
        Shop { settings, requests: AtomicU64::new(0) }
    }

    /// Answers one request; it can't fail.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        // Health checks are not customers: they neither count nor wait.
        let is_check = request.uri().path() == "/up";
        if !is_check {
            self.requests.fetch_add(1, Ordering::Relaxed);
            wait(self.settings.delay).await;
        }
        let is_get = matches!(*request.method(), Method::GET | Method::HEAD);
        let mut response = match request.uri().path() {
            "/up" if self.settings.is_broken => text(StatusCode::SERVICE_UNAVAILABLE, "broken\n"),
            "/up" => text(StatusCode::OK, "ok\n"),
            "/" if is_get => body(StatusCode::OK, "text/html; charset=utf-8", self.page()),
            "/api/items" if is_get => body(StatusCode::OK, "application/json", items()),
            "/slow" if is_get => match slow_time(request.uri().query()) {
                Some(time) => {
                    wait(time).await;
                    text(StatusCode::OK, "done\n")
                }
                None => text(StatusCode::BAD_REQUEST, "write /slow?ms=500, at most 60000\n"),
            },
            "/echo" if *request.method() == Method::POST => echo(request),
            "/" | "/api/items" | "/slow" | "/echo" => text(StatusCode::METHOD_NOT_ALLOWED, "wrong method\n"),
            _ => text(StatusCode::NOT_FOUND, "there is no such page\n"),
        };
        let version = HeaderValue::from_str(&self.settings.version);
        response.headers_mut().insert("x-version", version.expect("settings take visible ASCII only"));
        response
    }

    fn page(&self) -> String {
        let Settings { version, host, .. } = &self.settings;
        let requests = self.requests.load(Ordering::Relaxed);
        // Versions differ in colour, so that a switch is seen from across the room.
        let hue = version.bytes().fold(200u32, |hue, byte| (hue * 31 + u32::from(byte) * 47) % 360);
        let goods: String = ITEMS
            .iter()
            .map(|(name, cents)| format!("<li>{name} <b>{}.{:02} €</b></li>", cents / 100, cents % 100))
            .collect();
        format!(
            "<!doctype html><html lang=en><meta charset=utf-8><title>Shop {version}</title>\
             <meta name=viewport content='width=device-width'>\
             <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:32rem;margin:4rem auto;padding:0 1rem}}\
             h1{{border-bottom:8px solid hsl({hue} 70% 45%)}}li{{display:flex;justify-content:space-between}}\
             ul{{padding:0}}small{{color:#666}}</style>\
             <h1>Shop, version {version}</h1><ul>{goods}</ul>\
             <small>Served by {host}, its request number {requests}.</small></html>\n",
            host = escape(host),
        )
    }
}

async fn wait(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

/// Sends the body back as it comes in, with its type.
fn echo(request: Request<Incoming>) -> Response<Body> {
    let kind = request.headers().get(CONTENT_TYPE).cloned();
    let mut response = Response::new(request.into_body().boxed());
    let plain = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(CONTENT_TYPE, kind.unwrap_or(plain));
    response
}

fn items() -> String {
    let items: Vec<String> =
        ITEMS.iter().map(|(name, cents)| format!(r#"{{"name":"{name}","cents":{cents}}}"#)).collect();
    format!("[{}]\n", items.join(","))
}

fn slow_time(query: Option<&str>) -> Option<Duration> {
    let millis = query?.split('&').find_map(|pair| pair.strip_prefix("ms="))?;
    millis.parse().ok().map(Duration::from_millis).filter(|time| *time <= SLOW_MAX)
}

fn text(status: StatusCode, words: &'static str) -> Response<Body> {
    body(status, "text/plain; charset=utf-8", words)
}

fn body(status: StatusCode, kind: &'static str, content: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(content.into()).map_err(|never| match never {}).boxed());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_takes_a_bounded_time() {
        assert_eq!(slow_time(Some("ms=250")), Some(Duration::from_millis(250)));
        assert_eq!(slow_time(Some("a=1&ms=0")), Some(Duration::ZERO));
        for bad in [None, Some(""), Some("ms="), Some("ms=-1"), Some("ms=60001")] {
            assert_eq!(slow_time(bad), None, "{bad:?}");
        }
    }
}
