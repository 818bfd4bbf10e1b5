//! `Range` of a GET (RFC 9110 section 14.2) and `Content-Range` of a chunk (distribution-spec, "Pushing a blob in
//! chunks": `<start>-<end>`, inclusive, without a unit).

use std::ops::Range;

/// What a `Range` header asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The whole blob: another unit, or several ranges, which a server may ignore.
    Whole,
    /// These bytes, within the blob and not empty.
    Part(Range<u64>),
    /// Nothing of it can be served: 416.
    Unsatisfiable,
}

/// Reads a `Range` header for a blob of `size` bytes.
pub(crate) fn parse(header: &str, size: u64) -> Wanted {
    let Some((unit, set)) = header.split_once('=') else { return Wanted::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return Wanted::Whole;
    }
    let Some((first, last)) = set.trim().split_once('-') else { return Wanted::Unsatisfiable };
    let range = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(size),
        (Some(first), None) if last.trim().is_empty() => first..size,
        (None, Some(suffix)) if first.trim().is_empty() => size.saturating_sub(suffix)..size,
        _ => return Wanted::Unsatisfiable,
    };
    if range.is_empty() { Wanted::Unsatisfiable } else { Wanted::Part(range) }
}

/// Reads the `Content-Range` of a chunk; `None` if it is none. `bytes 0-9/*`, as RFC 9110 has it, is taken as well.
pub(crate) fn parse_content_range(header: &str) -> Option<Range<u64>> {
    let header = header.trim();
    let range = header.strip_prefix("bytes").map_or(header, str::trim_start);
    let range = range.split_once('/').map_or(range, |(range, _)| range);
    let (first, last) = range.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some(first..last.checked_add(1)?)
}

/// Digits only: `u64::from_str` would take a sign.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // More digits than a u64 has: as good as the end.
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_of_a_blob_of_2048_bytes() {
        use Wanted::{Part, Unsatisfiable, Whole};
        for (header, expected) in [
            ("bytes=0-0", Part(0..1)),
            ("bytes=0-499", Part(0..500)),
            ("bytes=500-999", Part(500..1_000)),
            ("bytes=2000-", Part(2_000..2_048)),
            ("bytes=-500", Part(1_548..2_048)),
            ("bytes=-9999", Part(0..2_048)),
            ("bytes=1000-9999", Part(1_000..2_048)),
            ("Bytes= 1 - 2 ", Part(1..3)),
            ("bytes=0-99999999999999999999999", Part(0..2_048)),
            ("bytes=500-0", Unsatisfiable),
            ("bytes=2048-", Unsatisfiable),
            ("bytes=9999-10000", Unsatisfiable),
            ("bytes=-0", Unsatisfiable),
            ("bytes=-", Unsatisfiable),
            ("bytes=a-b", Unsatisfiable),
            ("bytes=1", Unsatisfiable),
            ("bytes=+1-2", Unsatisfiable),
            ("bytes=0-1,5-6", Whole),
            ("lines=0-1", Whole),
            ("", Whole),
        ] {
            assert_eq!(parse(header, 2_048), expected, "{header}");
        }
        assert_eq!(parse("bytes=0-", 0), Unsatisfiable);
    }

    #[test]
    fn content_ranges() {
        for (header, expected) in [
            ("0-1023", Some(0..1_024)),
            ("1024-1024", Some(1_024..1_025)),
            ("bytes 0-9/10", Some(0..10)),
            ("bytes 0-9/*", Some(0..10)),
            ("9-0", None),
            ("0", None),
            ("-5", None),
            ("a-b", None),
            ("0-18446744073709551615", None),
            ("", None),
        ] {
            assert_eq!(parse_content_range(header), expected, "{header}");
        }
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_blob(header in "(bytes=)?[0-9 ,-]{0,40}", size in 0u64..5_000) {
            if let Wanted::Part(range) = parse(&header, size) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
            let _ = parse_content_range(&header);
        }
    }
}
