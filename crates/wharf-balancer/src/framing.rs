//! A second opinion on where requests begin and end, against request smuggling.
//!
//! hyper follows RFC 9112 where it is lenient: it drops Content-Length when Transfer-Encoding is there, takes a bare
//! LF as the end of a line and equal Content-Lengths as one. A proxy should refuse what two programs may read
//! differently. The [`Framer`] looks at the bytes as they are read, before hyper does, follows the framing through
//! pipelined requests and bodies, and remembers the first request whose head breaks a rule; the service then answers
//! that request with 400 and closes. It changes nothing, so a fault here can refuse a request but not smuggle one.
//!
//! Invariant: how the bytes are cut into reads makes no difference (property test below).
//! Source of the rules: RFC 9112 sections 2.2, 5.2, 6.1, 6.3; RFC 9110 section 7.2.

/// LIMIT: bytes of one line that are kept. Framing headers are shorter; a longer one is refused.
const LINE_MAX: usize = 256;

/// A rule that a head breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// A line ends with LF alone.
    BareLineFeed,
    /// A header goes on in the next line (obs-fold).
    FoldedHeader,
    /// Content-Length is no number, or there are two.
    ContentLength,
    /// Transfer-Encoding is not exactly `chunked`, or there are two.
    TransferEncoding,
    /// Content-Length together with Transfer-Encoding.
    BothLengths,
    /// Two Host headers.
    TwoHosts,
}

impl Violation {
    /// What to tell the client.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Violation::BareLineFeed => "a line of the request's head ends without CR",
            Violation::FoldedHeader => "a header goes on in a second line",
            Violation::ContentLength => "Content-Length is repeated or no number",
            Violation::TransferEncoding => "Transfer-Encoding is repeated or not `chunked`",
            Violation::BothLengths => "Content-Length and Transfer-Encoding are both given",
            Violation::TwoHosts => "Host is given twice",
        }
    }
}

/// Follows the framing of one client connection.
#[derive(Default)]
pub(crate) struct Framer {
    mode: Mode,
    /// Begin of a line that was cut by the end of a read.
    line: Vec<u8>,
    line_is_cut: bool,
    head: Head,
    /// Heads that were complete.
    heads: u64,
    bad: Option<(u64, Violation)>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Mode {
    /// Between requests.
    #[default]
    Start,
    /// Header lines.
    Head,
    /// Bytes of a body that has a length.
    Body(u64),
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailer,
    /// After a violation, or a chunk that hyper refuses by itself.
    Lost,
}

#[derive(Default)]
struct Head {
    length: Option<u64>,
    is_chunked: bool,
    hosts: u8,
    bad: Option<Violation>,
}

impl Framer {
    /// Takes the bytes of one read.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match &mut self.mode {
                Mode::Lost => return,
                Mode::Body(left) | Mode::Chunk(left) => {
                    let taken = (*left).min(bytes.len() as u64);
                    *left -= taken;
                    bytes = &bytes[taken as usize..];
                    if *left == 0 {
                        self.mode = if self.head.is_chunked { Mode::ChunkEnd } else { Mode::Start };
                    }
                }
                _ => {
                    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
                        self.keep(bytes);
                        return;
                    };
                    let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
                    bytes = rest;
                    if self.line.is_empty() && !self.line_is_cut {
                        self.take_line(line);
                    } else {
                        self.keep(line);
                        let kept = std::mem::take(&mut self.line);
                        self.take_line(&kept);
                        self.line_is_cut = false;
                    }
                }
            }
        }
    }

    /// The rule that request number `index` (from 0, on this connection) breaks.
    pub(crate) fn violation(&self, index: u64) -> Option<Violation> {
        self.bad.filter(|(bad, _)| *bad == index).map(|(_, violation)| violation)
    }

    /// Whether a head has begun and not ended.
    pub(crate) fn is_in_head(&self) -> bool {
        self.mode == Mode::Head || (self.mode == Mode::Start && !self.line.is_empty())
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LINE_MAX.saturating_sub(self.line.len());
        self.line_is_cut |= bytes.len() > room;
        // The last byte says whether the line ends with CR, so it is kept also of a line that is cut.
        match bytes.last() {
            Some(last) if bytes.len() > room => {
                self.line.extend_from_slice(&bytes[..room]);
                self.line.pop();
                self.line.push(*last);
            }
            _ => self.line.extend_from_slice(bytes),
        }
    }

    /// `line` is without its LF.
    fn take_line(&mut self, line: &[u8]) {
        let text = line.strip_suffix(b"\r");
        match self.mode {
            // Empty lines before a request are skipped (RFC 9112, 2.2).
            Mode::Start if text.unwrap_or(line).is_empty() => {}
            Mode::Start => {
                self.head = Head::default();
                self.mode = Mode::Head;
                if text.is_none() {
                    self.head.refuse(Violation::BareLineFeed);
                }
            }
            Mode::Head => match text {
                Some([]) => self.end_head(),
                Some(text) => self.head.take(text, self.line_is_cut),
                None => {
                    self.head.refuse(Violation::BareLineFeed);
                    if line.is_empty() {
                        self.end_head();
                    }
                }
            },
            Mode::ChunkSize => {
                let size = text.and_then(chunk_size);
                self.mode = match size {
                    Some(0) => Mode::Trailer,
                    Some(size) => Mode::Chunk(size),
                    None => Mode::Lost,
                };
            }
            Mode::ChunkEnd => {
                self.mode = if text == Some(b"") { Mode::ChunkSize } else { Mode::Lost };
            }
            Mode::Trailer => match text {
                Some([]) => self.mode = Mode::Start,
                Some(_) => {}
                None => self.mode = Mode::Lost,
            },
            Mode::Body(_) | Mode::Chunk(_) | Mode::Lost => {}
        }
    }

    fn end_head(&mut self) {
        let index = self.heads;
        self.heads += 1;
        if self.head.length.is_some() && self.head.is_chunked {
            self.head.refuse(Violation::BothLengths);
        }
        if let Some(violation) = self.head.bad {
            self.bad = Some((index, violation));
            self.mode = Mode::Lost;
            return;
        }
        self.mode = match self.head.length {
            _ if self.head.is_chunked => Mode::ChunkSize,
            Some(length) if length > 0 => Mode::Body(length),
            _ => Mode::Start,
        };
    }
}

impl Head {
    fn refuse(&mut self, violation: Violation) {
        self.bad.get_or_insert(violation);
    }

    fn take(&mut self, line: &[u8], is_cut: bool) {
        // The first byte sorts out nearly all other headers.
        match line[0] {
            b' ' | b'\t' => self.refuse(Violation::FoldedHeader),
            b'c' | b'C' => {
                if let Some(value) = value_of(line, b"content-length") {
                    match number(value) {
                        Some(length) if self.length.is_none() && !is_cut => self.length = Some(length),
                        _ => self.refuse(Violation::ContentLength),
                    }
                }
            }
            b't' | b'T' => {
                if let Some(value) = value_of(line, b"transfer-encoding") {
                    if self.is_chunked || is_cut || !value.eq_ignore_ascii_case(b"chunked") {
                        self.refuse(Violation::TransferEncoding);
                    }
                    self.is_chunked = true;
                }
            }
            b'h' | b'H' if value_of(line, b"host").is_some() => {
                self.hosts = self.hosts.saturating_add(1);
                if self.hosts > 1 {
                    self.refuse(Violation::TwoHosts);
                }
            }
            _ => {}
        }
    }
}

/// The trimmed value if `line` is `name: value`; `name` is in lower case. Space before the colon counts as well:
/// hyper refuses it, and here it must not hide a header.
fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = line.split_at_checked(name.len())?;
    if !start.eq_ignore_ascii_case(name) {
        return None;
    }
    rest.trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii)
}

fn number(text: &[u8]) -> Option<u64> {
    // LIMIT: 18 digits can't overflow.
    if text.is_empty() || text.len() > 18 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

/// Size of a chunk, extensions left out. `None`: hyper refuses it as well, or will.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let end = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    let (digits, rest) = line.split_at(end);
    if digits.is_empty() || digits.len() > 15 || !matches!(rest.first(), None | Some(b';' | b' ' | b'\t')) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bytes, the first bad request and its fault, number of heads.
    type Case = (&'static str, Option<(u64, Violation)>, u64);

    const CASES: &[Case] = &[
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", None, 1),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", None, 1),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", None, 2),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nG\n\r\nTGET / HTTP/1.1\r\n\r\n", None, 2),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\na\nb\r\n0\r\nT: x\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            None,
            2,
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: 4\r\ntransfer-encoding: chunked\r\n\r\n",
            Some((0, Violation::BothLengths)),
            1,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n",
            Some((0, Violation::BothLengths)),
            1,
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\n",
            Some((0, Violation::ContentLength)),
            1,
        ),
        ("POST / HTTP/1.1\r\nContent-Length: +4\r\n\r\n", Some((0, Violation::ContentLength)), 1),
        ("POST / HTTP/1.1\r\nContent-Length: 4, 4\r\n\r\n", Some((0, Violation::ContentLength)), 1),
        ("POST / HTTP/1.1\r\nContent-Length:\r\n\r\n", Some((0, Violation::ContentLength)), 1),
        (
            "POST / HTTP/1.1\r\nContent-Length : 4\r\nContent-Length: 5\r\n\r\n",
            Some((0, Violation::ContentLength)),
            1,
        ),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n", Some((0, Violation::TransferEncoding)), 1),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            Some((0, Violation::TransferEncoding)),
            1,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            Some((0, Violation::TransferEncoding)),
            1,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: \x0bchunked\r\n\r\n",
            Some((0, Violation::TransferEncoding)),
            1,
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", Some((0, Violation::TwoHosts)), 1),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", Some((0, Violation::BareLineFeed)), 1),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", Some((0, Violation::BareLineFeed)), 1),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", Some((0, Violation::BareLineFeed)), 1),
        ("GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n", Some((0, Violation::FoldedHeader)), 1),
        (
            "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            Some((1, Violation::TwoHosts)),
            2,
        ),
    ];

    #[test]
    fn finds_each_violation_and_counts_heads() {
        for (input, bad, heads) in CASES {
            let mut framer = Framer::default();
            framer.feed(input.as_bytes());
            assert_eq!((framer.bad, framer.heads), (*bad, *heads), "{input:?}");
        }
    }

    #[test]
    fn a_line_longer_than_the_limit_keeps_its_end() {
        for (end, bad) in [("\r\n\r\n", None), ("\n\r\n", Some((0, Violation::BareLineFeed)))] {
            let input = format!("GET / HTTP/1.1\r\nCookie: {}{end}", "x".repeat(1000));
            for cut in [20, 100, 500, 1000] {
                let mut framer = Framer::default();
                framer.feed(&input.as_bytes()[..cut]);
                framer.feed(&input.as_bytes()[cut..]);
                assert_eq!((framer.bad, framer.heads), (bad, 1), "{cut}");
            }
        }
    }

    proptest! {
        #[test]
        fn cutting_the_bytes_makes_no_difference(
            case in 0..CASES.len(),
            cuts in prop::collection::vec(1usize..20, 1..60),
        ) {
            let (input, bad, heads) = CASES[case];
            let mut framer = Framer::default();
            let mut rest = input.as_bytes();
            let mut cuts = cuts.iter().cycle();
            while !rest.is_empty() {
                let (now, later) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                framer.feed(now);
                rest = later;
            }
            prop_assert_eq!((framer.bad, framer.heads), (bad, heads));
        }

        #[test]
        fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            Framer::default().feed(&bytes);
        }
    }
}
