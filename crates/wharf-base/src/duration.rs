//! Durations as Go and Compose write them: `1m30s`, `500ms`, `1.5h` (Go `time.ParseDuration`).
//!
//! Also a serde form (`#[serde(with = "wharf_base::duration")]`) that stores this text.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer};

/// A text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a duration; write a number with a unit (us, ms, s, m, h), such as 1m30s")]
pub struct DurationError(String);

/// Parses a Go duration without a sign. `0` needs no unit; every other number does.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let error = || DurationError(text.chars().take(40).collect());
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(error());
    }
    let mut nanos = 0f64;
    while !rest.is_empty() {
        let split = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(error)?;
        let number: f64 = rest[..split].parse().map_err(|_| error())?;
        rest = &rest[split..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            "d" => 86_400e9,
            _ => return Err(error()),
        };
        nanos += number * unit;
        rest = &rest[end..];
    }
    // 100 years: longer is a typing mistake, and the sum stays far from what an f64 holds exactly enough.
    if !nanos.is_finite() || nanos > 3.2e18 {
        return Err(error());
    }
    Ok(Duration::from_nanos(nanos as u64))
}

/// Prints with the units h, m, s, ms, us, ns, leaving out those that are zero. `parse` reads it back exactly
/// for durations below 100 days.
pub fn format(duration: Duration) -> String {
    if duration.is_zero() {
        return "0s".to_owned();
    }
    let mut text = String::new();
    let (seconds, nanos) = (duration.as_secs(), u64::from(duration.subsec_nanos()));
    let parts = [
        (seconds / 3600, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
        (nanos / 1_000_000, "ms"),
        (nanos / 1_000 % 1_000, "us"),
        (nanos % 1_000, "ns"),
    ];
    for (count, unit) in parts {
        if count > 0 {
            text.push_str(&count.to_string());
            text.push_str(unit);
        }
    }
    text
}

/// Serializes as the text of [`format`].
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*duration))
}

/// Deserializes from the text that [`parse`] takes.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parses_go_durations_and_refuses_bare_numbers() {
        for (text, millis) in
            [("0", 0), ("500ms", 500), ("1m30s", 90_000), ("1.5h", 5_400_000), ("10s", 10_000)]
        {
            assert_eq!(parse(text).unwrap(), Duration::from_millis(millis), "{text}");
        }
        for bad in ["", "10", "s", "1x", "-1s", "1s 2s", "1..2s", "999999999h"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn printing_and_parsing_are_inverse(millis in 0u64..8_640_000_000) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse(&format(duration)).unwrap(), duration);
        }
    }
}
