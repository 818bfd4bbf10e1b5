//! Takes secret values out of text that is about to be printed, stored or sent.
//!
//! Every value is looked for as it is and in the forms in which programs print it: each of its lines, escaped as in
//! JSON, percent-encoded, in base64 at each of the three alignments. Every byte that belongs to any of these becomes part
//! of one [`MARK`], also where two of them overlap. This is the net below: nothing of ours prints a value on purpose, but
//! an application may print its own password, and a Docker Engine may quote it in an error.
//!
//! Limits, by design: values shorter than [`VALUE_BYTES_MIN`] are left alone, or every `1` would vanish; a value that an
//! application has hashed, cut into pieces or encoded in another way is not found. Of a value beyond 1 KiB pieces are
//! looked for, so an end of up to 63 bytes beside a cut may stay.

mod forms;
mod stream;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, RwLock};

use crate::Secret;
use aho_corasick::{AhoCorasick, MatchKind};

pub use stream::RedactedStream;

/// What stands where a value was.
pub const MARK: &str = "[secret]";
/// LIMIT: bytes of the shortest value that is looked for.
pub const VALUE_BYTES_MIN: usize = 6;
/// LIMIT: bytes of all forms of all values; the automaton takes about 20 times as much.
const FORMS_BYTES_MAX: usize = 2 << 20;

/// The values that this process knows. Clones share them.
#[derive(Clone, Default)]
pub struct Redactor {
    shared: Arc<RwLock<Known>>,
}

#[derive(Default)]
struct Known {
    forms: BTreeSet<Vec<u8>>,
    bytes: usize,
    matcher: Option<Arc<Matcher>>,
}

/// An automaton over all forms.
pub(crate) struct Matcher {
    automaton: AhoCorasick,
    /// What it looks for, sorted.
    forms: Vec<Vec<u8>>,
    length_max: usize,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redactor(…)")
    }
}

impl Redactor {
    /// Knows no value yet.
    pub fn new() -> Redactor {
        Redactor::default()
    }

    /// The one of this process: what its log and its parts share.
    pub fn process() -> &'static Redactor {
        static PROCESS: std::sync::OnceLock<Redactor> = std::sync::OnceLock::new();
        PROCESS.get_or_init(Redactor::new)
    }

    /// Looks for these values from now on, as long as the process lives: a value that was replaced is still somebody's.
    pub fn add<'a>(&self, secrets: impl IntoIterator<Item = &'a Secret>) {
        let mut known = self.shared.write().expect("no holder panics");
        let before = known.forms.len();
        for form in secrets.into_iter().flat_map(forms::of) {
            if known.forms.contains(form.as_slice()) {
                continue;
            }
            if known.bytes + form.len() > FORMS_BYTES_MAX {
                tracing::warn!(max = FORMS_BYTES_MAX, "too many secrets to take all out of output");
                break;
            }
            known.bytes += form.len();
            known.forms.insert(form.to_vec());
        }
        if known.forms.len() == before {
            return;
        }
        let length_max = known.forms.iter().map(|form| form.len()).max().unwrap_or(0);
        let built = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .build(known.forms.iter().map(|form| form.as_slice()));
        match built {
            Ok(automaton) => {
                let forms = known.forms.iter().cloned().collect();
                known.matcher = Some(Arc::new(Matcher { automaton, forms, length_max }));
            }
            // Only with more patterns than fit into 31 bits; the limit above is far below.
            Err(error) => tracing::error!(%error, "cannot look for new secrets in output"),
        }
    }

    /// The text without values; borrowed if there was none.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.matcher().and_then(|matcher| matcher.replaced(text.as_bytes())) {
            None => Cow::Borrowed(text),
            Some(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    /// Takes values out of a text in its place.
    pub fn clean(&self, text: &mut String) {
        if let Cow::Owned(clean) = self.text(text) {
            *text = clean;
        }
    }

    /// The bytes without values; borrowed if there was none.
    pub fn bytes<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        match self.matcher().and_then(|matcher| matcher.replaced(bytes)) {
            None => Cow::Borrowed(bytes),
            Some(clean) => Cow::Owned(clean),
        }
    }

    /// For output that comes in chunks: a value is found also where chunks cut it.
    pub fn stream(&self) -> RedactedStream {
        RedactedStream::new(self.clone())
    }

    pub(crate) fn matcher(&self) -> Option<Arc<Matcher>> {
        self.shared.read().expect("no holder panics").matcher.clone()
    }
}

impl Matcher {
    /// How many of the last bytes may be the beginning of a value of which the rest is yet to come.
    pub(crate) fn open_end(&self, bytes: &[u8]) -> usize {
        let longest = bytes.len().min(self.length_max.saturating_sub(1));
        let may_begin = |length: &usize| {
            let end = &bytes[bytes.len() - length..];
            let next = self.forms.partition_point(|form| form.as_slice() < end);
            self.forms.get(next).is_some_and(|form| form.starts_with(end))
        };
        (1..=longest).rev().find(may_begin).unwrap_or(0)
    }

    /// The bytes that belong to a value: ranges that neither overlap nor touch, in order.
    pub(crate) fn covered(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let mut covered: Vec<Range<usize>> = Vec::new();
        // In order of their ends.
        for found in self.automaton.find_overlapping_iter(bytes) {
            let mut range = found.range();
            while let Some(last) = covered.pop_if(|last| last.end >= range.start) {
                range.start = range.start.min(last.start);
            }
            covered.push(range);
        }
        covered
    }

    /// `None` if no value is in it.
    fn replaced(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let covered = self.covered(bytes);
        if covered.is_empty() {
            return None;
        }
        let mut clean = Vec::with_capacity(bytes.len());
        let mut at = 0;
        for range in covered {
            clean.extend_from_slice(&bytes[at..range.start]);
            clean.extend_from_slice(MARK.as_bytes());
            at = range.end;
        }
        clean.extend_from_slice(&bytes[at..]);
        Some(clean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn knowing(values: &[&str]) -> Redactor {
        let redactor = Redactor::new();
        let secrets: Vec<Secret> = values.iter().map(|value| Secret::from(*value)).collect();
        redactor.add(&secrets);
        redactor
    }

    fn check(values: &[&str], text: &str, expected: &str) {
        assert_eq!(knowing(values).text(text), expected, "{text}");
    }

    #[test]
    fn values_are_taken_out_in_every_form() {
        check(&["hunter2!"], "password is hunter2!, really", "password is [secret], really");
        check(&["hunter2!"], "nothing here", "nothing here");
        check(&["short"], "short values stay: short", "short values stay: short");
        check(&["abcdef123", "123ghijkl"], "x abcdef123ghijkl y", "x [secret] y");
        check(&["aaaaaa"], "baaaaaaaaaaab", "b[secret]b");
        check(&["hunter2", "hunter2longer"], "hunter2longer", "[secret]");
        check(&["say \"hi\"\tnow"], r#"{"v":"say \"hi\"\tnow"}"#, r#"{"v":"[secret]"}"#);
        check(&["p@ss/w rd"], "postgres://u:p%40ss%2Fw%20rd@db", "postgres://u:[secret]@db");
        check(&["line one of it\nline two of it\n"], "log: line two of it", "log: [secret]");
        let key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\n-----END KEY-----\n";
        check(&[key], "-----BEGIN KEY-----", "-----BEGIN KEY-----");
        check(&[key], "MIIEvQIBADANBg", "[secret]");
        // `printf 'user:correct horse' | base64`, and with one and two bytes more before it.
        for header in
            ["dXNlcjpjb3JyZWN0IGhvcnNl", "dXNlcnM6Y29ycmVjdCBob3JzZQ==", "dXNlcjIzOmNvcnJlY3QgaG9yc2U="]
        {
            let clean = knowing(&["correct horse"]).text(header).into_owned();
            assert!(clean.contains(MARK), "{header}: {clean}");
        }
    }

    #[test]
    fn a_large_value_is_found_whole_and_in_parts() {
        let large: String = (0..400).map(|number| format!("{number:04x}-")).collect();
        let redactor = knowing(&[&large]);
        assert_eq!(redactor.text(&large), MARK);
        let part = &large[300..700];
        let clean = redactor.text(part).into_owned();
        assert!(clean.contains(MARK) && clean.len() < 140, "{clean}");
    }

    #[test]
    fn values_can_be_added_later_and_clones_know_them() {
        let redactor = knowing(&["first value"]);
        let other = redactor.clone();
        redactor.add([&Secret::from("second value")]);
        assert_eq!(other.text("first value, second value"), "[secret], [secret]");
        let mut text = "x second value".to_owned();
        other.clean(&mut text);
        assert_eq!(text, "x [secret]");
        assert_eq!(other.bytes(b"\xffsecond value\xff"), b"\xff[secret]\xff".as_slice());
    }

    #[test]
    fn regression_a_push_that_passes_nothing_on_keeps_what_is_covered() {
        let mut stream = knowing(&["baaaab"]).stream();
        let mut out = Vec::new();
        for chunk in [&b"baaaabaa"[..], b"", b""] {
            stream.push(chunk, &mut out);
        }
        stream.finish(&mut out);
        assert_eq!(out, b"[secret]aa");
    }

    #[test]
    fn only_what_may_begin_a_value_is_late() {
        let mut stream = knowing(&["hunter2"]).stream();
        let mut out = Vec::new();
        stream.push(b"$ echo hun", &mut out);
        assert_eq!(out, b"$ echo ");
        stream.push(b"gry", &mut out);
        assert_eq!(out, b"$ echo hungry");
        stream.push(b" hunt", &mut out);
        stream.flush(&mut out);
        assert_eq!(out, b"$ echo hungry hunt", "whoever waits at a terminal sees it");
        stream.push(b" hunter2 hunter", &mut out);
        assert!(out.ends_with(b"hunt [secret] "));
        stream.finish(&mut out);
        assert!(out.ends_with(b"[secret] hunter"));
    }

    proptest! {
        // Cheap, and a case in a few hundred found what the default number missed.
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn no_value_survives(
            values in proptest::collection::vec("[ab]{6,9}", 1..4),
            text in "[abc]{0,200}",
        ) {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let clean = knowing(&values).text(&text).into_owned();
            for value in &values {
                prop_assert!(!clean.contains(value), "{} in {}", value, clean);
            }
            if !values.iter().any(|value| text.contains(value)) {
                prop_assert_eq!(clean, text);
            }
        }

        #[test]
        fn no_value_survives_any_chunking(
            values in proptest::collection::vec("[ab]{6,9}", 1..4),
            text in "[abc]{0,200}",
            cuts in proptest::collection::vec(0_usize..20, 0..40),
        ) {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let redactor = knowing(&values);
            let mut stream = redactor.stream();
            let (mut out, mut rest) = (Vec::new(), text.as_bytes());
            for cut in cuts {
                let (chunk, after) = rest.split_at(cut.min(rest.len()));
                stream.push(chunk, &mut out);
                rest = after;
            }
            stream.push(rest, &mut out);
            stream.finish(&mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), redactor.text(&text));
        }
    }
}
