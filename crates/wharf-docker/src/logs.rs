//! What a container printed: its last lines, for saying why it failed, and line by line with times.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error as BollardError;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, stream};

use crate::output::clean;
use crate::{Engine, Error};

/// LIMIT: of all lines together; the newest are kept.
const TAIL_SIZE_MAX: usize = 256 * 1024;

/// Reading a file of the Engine's takes milliseconds; a hung log driver must not hang us.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Returns the last `count` lines of stdout and stderr of `container`, oldest first, running or not.
///
/// Errors: `Refused` with status 404 when there is no such container, or when its log driver can't be read.
pub async fn last_lines(engine: &Engine, container: &str, count: usize) -> Result<Vec<String>, Error> {
    let doing = format!("read the log of container {container}");
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail(&count.to_string()).build();
    let read = async {
        let mut stream = engine.docker().logs(container, Some(options));
        let mut text = Vec::new();
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|error| Error::api(&doing, error))?;
            text.extend_from_slice(&piece.into_bytes());
            if text.len() > TAIL_SIZE_MAX {
                text.drain(..text.len() - TAIL_SIZE_MAX);
            }
        }
        Ok(text)
    };
    let text = tokio::time::timeout(TIMEOUT, read)
        .await
        .map_err(|_| Error::TimedOut { doing: doing.clone(), after: TIMEOUT })??;
    let mut lines: Vec<String> = String::from_utf8_lossy(&text).lines().map(clean).collect();
    lines.drain(..lines.len().saturating_sub(count));
    Ok(lines)
}

/// Which lines to read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Most lines from the past.
    pub lines: u32,
    /// Only lines after this time, in nanoseconds since 1970.
    pub after: Option<i64>,
    /// Go on until the container ends.
    pub follow: bool,
}

/// A line with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Nanoseconds since 1970; 0 when the Engine did not say.
    pub at: i64,
    /// It came from standard error.
    pub is_stderr: bool,
    /// Printable, at most 8 KiB.
    pub text: String,
}

/// The lines of `container`, oldest first.
///
/// A line that the Engine stored in several parts (it cuts at 16 KiB) is put together again and then cut at 8 KiB.
pub fn lines(
    engine: &Engine,
    container: &str,
    wanted: Wanted,
) -> impl Stream<Item = Result<Line, Error>> + Send + use<> {
    let mut options = LogsOptionsBuilder::default()
        .stdout(true)
        .stderr(true)
        .timestamps(true)
        .follow(wanted.follow)
        .tail(&wanted.lines.to_string());
    if let Some(after) = wanted.after {
        // Whole seconds are what the client can say; the rest is left out below.
        options = options.since(i32::try_from(after.div_euclid(1_000_000_000)).unwrap_or(i32::MAX));
    }
    let read = Reading {
        doing: format!("read the log of container {container}"),
        pieces: engine.docker().logs(container, Some(options.build())).boxed(),
        halves: [None, None],
        after: wanted.after.unwrap_or(i64::MIN),
    };
    stream::unfold(read, |mut read| async move {
        let line = read.next().await?;
        Some((line, read))
    })
}

struct Reading {
    doing: String,
    pieces: BoxStream<'static, Result<LogOutput, BollardError>>,
    /// The begun lines of standard output and standard error.
    halves: [Option<(i64, Vec<u8>)>; 2],
    after: i64,
}

impl Reading {
    async fn next(&mut self) -> Option<Result<Line, Error>> {
        loop {
            let piece = match self.pieces.next().await {
                Some(Ok(piece)) => piece,
                Some(Err(error)) => return Some(Err(Error::api(&self.doing, error))),
                // What ended without a line break.
                None => {
                    let left = self.halves.iter_mut().position(|half| half.is_some())?;
                    return self.whole(left == 1).map(Ok);
                }
            };
            let is_stderr = matches!(piece, LogOutput::StdErr { .. });
            let bytes = piece.into_bytes();
            let (at, text) = time_and_text(&bytes);
            let (_, line) = self.halves[usize::from(is_stderr)].get_or_insert_with(|| (at, Vec::new()));
            let room = LINE_SIZE_MAX.saturating_sub(line.len());
            line.extend_from_slice(&text[..text.len().min(room)]);
            if text.ends_with(b"\n")
                && let Some(line) = self.whole(is_stderr)
            {
                return Some(Ok(line));
            }
        }
    }

    /// Takes a finished line, unless it is older than what is wanted.
    fn whole(&mut self, is_stderr: bool) -> Option<Line> {
        let (at, bytes) = self.halves[usize::from(is_stderr)].take()?;
        let text = clean(String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']));
        (at == 0 || at > self.after).then_some(Line { at, is_stderr, text })
    }
}

/// LIMIT: bytes of a line that are kept before it is made printable.
const LINE_SIZE_MAX: usize = 32 << 10;

/// `2026-11-24T08:00:00.123456789Z text`, as the Engine writes it (RFC 3339 with nanoseconds, UTC).
fn time_and_text(piece: &[u8]) -> (i64, &[u8]) {
    let Some(space) = piece.iter().take(40).position(|&byte| byte == b' ') else { return (0, piece) };
    let at = std::str::from_utf8(&piece[..space]).ok().and_then(nanoseconds);
    at.map_or((0, piece), |at| (at, &piece[space + 1..]))
}

/// Nanoseconds since 1970 of `YYYY-MM-DDTHH:MM:SS[.fraction]Z`.
fn nanoseconds(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.split('-').map(str::parse::<i64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut clock = clock.split(':').map(str::parse::<i64>);
    let (hours, minutes, seconds) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    let is_date = (1970..2262).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !is_date || fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos: i64 = format!("{fraction:0<9}").parse().ok()?;
    // Days of the civil calendar, counted from March so that the leap day is the last of its year.
    let (shifted_year, shifted_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let days = shifted_year * 365 + shifted_year / 4 - shifted_year / 100 + shifted_year / 400 + day_of_year
        - 719_468;
    let seconds = days * 86_400 + hours * 3_600 + minutes * 60 + seconds;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_engine_are_read_to_the_nanosecond() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:00:00.5Z", Some(951_825_600_500_000_000)),
            ("2026-11-24T08:00:00.123456789Z", Some(1_795_507_200_123_456_789)),
            ("2026-13-24T08:00:00Z", None),
            ("2026-11-24T08:00:00.x Z", None),
            ("hello", None),
        ] {
            assert_eq!(nanoseconds(text), expected, "{text}");
        }
        assert_eq!(time_and_text(b"1970-01-01T00:00:01Z a b\n"), (1_000_000_000, &b"a b\n"[..]));
        assert_eq!(time_and_text(b"no time"), (0, &b"no time"[..]));
    }
}
