//! One line of the access log, in both formats.

use std::fmt::Write as _;

use wharf_base::UnixMillis;

/// LIMIT: bytes of a path, referer or user agent in a line.
const FIELD_MAX: usize = 2048;

/// What one line says. Missing texts are empty.
pub(crate) struct Line<'a> {
    pub(crate) peer: &'a str,
    pub(crate) at: UnixMillis,
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) version: &'a str,
    pub(crate) status: u16,
    pub(crate) bytes_out: u64,
    pub(crate) bytes_in: u64,
    pub(crate) referer: &'a [u8],
    pub(crate) user_agent: &'a [u8],
    pub(crate) host: &'a [u8],
    pub(crate) total_us: u64,
    /// From the last try's start to its response head; `None`: there was none.
    pub(crate) upstream_us: Option<u64>,
    pub(crate) connect_us: Option<u64>,
    pub(crate) app: &'a str,
    pub(crate) service: &'a str,
    pub(crate) release: u32,
    pub(crate) backend: &'a str,
    pub(crate) attempts: u32,
    pub(crate) term: [u8; 2],
    pub(crate) id: &'a [u8],
}

/// nginx's `combined`, extended. Source: nginx `ngx_http_log_module`, default `log_format combined`.
pub(crate) fn combined(out: &mut Vec<u8>, line: &Line<'_>, time: &str) {
    out.extend_from_slice(line.peer.as_bytes());
    out.extend_from_slice(b" - - [");
    out.extend_from_slice(time.as_bytes());
    out.extend_from_slice(b"] \"");
    if line.method.is_empty() {
        out.push(b'-');
    } else {
        out.extend_from_slice(line.method.as_bytes());
        out.push(b' ');
        escape(out, line.target.as_bytes());
        out.push(b' ');
        out.extend_from_slice(line.version.as_bytes());
    }
    let _ = write!(Text(out), "\" {} {} \"", line.status, line.bytes_out);
    escape_or_dash(out, line.referer);
    out.extend_from_slice(b"\" \"");
    escape_or_dash(out, line.user_agent);
    out.extend_from_slice(b"\" ");
    seconds(out, Some(line.total_us));
    out.push(b' ');
    seconds(out, line.upstream_us);
    for (key, value) in [(" app=", line.app), (" service=", line.service)] {
        out.extend_from_slice(key.as_bytes());
        word(out, value.as_bytes());
    }
    let _ = write!(Text(out), " release={} target=", line.release);
    word(out, line.backend.as_bytes());
    let _ = write!(Text(out), " attempt={} term=", line.attempts);
    out.extend_from_slice(&line.term);
    out.extend_from_slice(b" id=");
    word(out, line.id);
    out.push(b'\n');
}

pub(crate) fn json(out: &mut Vec<u8>, line: &Line<'_>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(FIELD_MAX)]).into_owned();
    let value = serde_json::json!({
        "ts": line.at.to_string(),
        "id": text(line.id),
        "peer": line.peer,
        "method": line.method,
        "host": text(line.host),
        "target": text(line.target.as_bytes()),
        "version": line.version,
        "status": line.status,
        "bytes_in": line.bytes_in,
        "bytes_out": line.bytes_out,
        "referer": text(line.referer),
        "user_agent": text(line.user_agent),
        "app": line.app,
        "service": line.service,
        "release": line.release,
        "backend": line.backend,
        "attempts": line.attempts,
        "term": text(&line.term),
        "t_total": line.total_us,
        "t_connect": line.connect_us,
        "t_ttfb": line.upstream_us,
    });
    // Writing into memory can't fail.
    let _ = serde_json::to_writer(&mut *out, &value);
    out.push(b'\n');
}

/// `fmt::Write` into bytes.
struct Text<'a>(&'a mut Vec<u8>);

impl std::fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Seconds with milliseconds, as nginx's `$request_time`; `-` if there is none.
fn seconds(out: &mut Vec<u8>, micros: Option<u64>) {
    match micros {
        Some(micros) => {
            let millis = micros / 1_000;
            let _ = write!(Text(out), "{}.{:03}", millis / 1_000, millis % 1_000);
        }
        None => out.push(b'-'),
    }
}

fn escape_or_dash(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.is_empty() { out.push(b'-') } else { escape(out, bytes) }
}

/// A value without spaces; `-` if empty.
fn word(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.is_empty() {
        out.push(b'-');
    }
    for byte in bytes.iter().take(FIELD_MAX) {
        out.push(if byte.is_ascii_graphic() && *byte != b'"' { *byte } else { b'_' });
    }
}

/// As nginx: `"`, `\` and what is not printable ASCII become `\xXX`.
fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(FIELD_MAX)];
    let is_plain = |byte: &u8| (0x20..0x7f).contains(byte) && *byte != b'"' && *byte != b'\\';
    if bytes.iter().all(is_plain) {
        out.extend_from_slice(bytes);
        return;
    }
    for byte in bytes {
        if is_plain(byte) {
            out.push(*byte);
        } else {
            let _ = write!(Text(out), "\\x{byte:02X}");
        }
    }
}

/// `24/Nov/2026:04:09:17 +0000`, formatted once per second.
#[derive(Default)]
pub(crate) struct LocalTime {
    second: i64,
    text: String,
}

impl LocalTime {
    pub(crate) fn at(&mut self, time: UnixMillis) -> &str {
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let second = time.0.div_euclid(1_000);
        if second != self.second || self.text.is_empty() {
            self.second = second;
            // `2026-11-24T04:09:17.000Z`
            let utc = wharf_base::format_utc(time);
            let month = utc.get(5..7).and_then(|month| month.parse::<usize>().ok()).unwrap_or(1);
            let part = |from: usize, to: usize| utc.get(from..to).unwrap_or_default();
            let name = MONTHS[(month - 1).min(11)];
            self.text = format!("{}/{name}/{}:{} +0000", part(8, 10), part(0, 4), part(11, 19));
        }
        &self.text
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn line() -> Line<'static> {
        Line {
            peer: "10.0.0.1",
            at: UnixMillis(1_795_493_357_123),
            method: "GET",
            target: "/a?b=\"c",
            version: "HTTP/1.1",
            status: 200,
            bytes_out: 1024,
            bytes_in: 0,
            referer: b"",
            user_agent: b"curl/8 \xff",
            host: b"shop",
            total_us: 12_345,
            upstream_us: Some(1_999),
            connect_us: None,
            app: "shop",
            service: "web",
            release: 3,
            backend: "web.1@10.0.0.9:80",
            attempts: 1,
            term: *b"--",
            id: b"r-1",
        }
    }

    #[test]
    fn a_combined_line_reads_as_nginx_and_says_who_served() {
        let mut out = Vec::new();
        combined(&mut out, &line(), LocalTime::default().at(line().at));
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "10.0.0.1 - - [24/Nov/2026:04:09:17 +0000] \"GET /a?b=\\x22c HTTP/1.1\" 200 1024 \"-\" \
             \"curl/8 \\xFF\" 0.012 0.001 app=shop service=web release=3 target=web.1@10.0.0.9:80 attempt=1 \
             term=-- id=r-1\n"
        );
    }

    #[test]
    fn a_json_line_has_microseconds() {
        let mut out = Vec::new();
        json(&mut out, &line());
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&value["t_total"], &value["t_connect"]), (&12_345.into(), &serde_json::Value::Null));
        assert_eq!(value["target"], "/a?b=\"c");
        assert!(out.ends_with(b"\n"));
    }
}
