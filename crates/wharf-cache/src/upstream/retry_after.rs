//! `Retry-After` (RFC 9110 section 10.2.3).

use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;

/// LIMIT: longest time for which an upstream's word keeps us from asking it again.
const MOST: Duration = Duration::from_secs(300);

/// How long an upstream wants to be left alone. A date is answered by `otherwise`, as is nonsense.
pub(crate) fn retry_after(headers: &HeaderMap, otherwise: Duration) -> Duration {
    let text = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let seconds = text.and_then(|text| text.trim().parse::<u64>().ok());
    seconds.map_or(otherwise, Duration::from_secs).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_heeded_within_bounds() {
        let otherwise = Duration::from_secs(10);
        for (text, expected) in [("7", 7), (" 0 ", 0), ("99999", 300), ("Wed, 21 Oct", 10), ("-1", 10)] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            assert_eq!(retry_after(&headers, otherwise), Duration::from_secs(expected), "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), otherwise), otherwise);
    }
}
