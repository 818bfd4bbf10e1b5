//! Reads one answer off a connection, piece by piece (RFC 9112). Bodies are counted and thrown away.

/// LIMIT: of an answer's head.
const HEAD_SIZE_MAX: usize = 64 * 1024;

/// LIMIT: header fields.
const FIELDS_MAX: usize = 100;

/// LIMIT: a chunk's size line with its extensions, and each trailer line.
const LINE_SIZE_MAX: usize = 8 * 1024;

/// An answer that comes in.
#[derive(Debug, Default)]
pub(crate) struct ResponseReader {
    head: Vec<u8>,
    status: u16,
    keep_alive: bool,
    body: Body,
}

#[derive(Debug, Default)]
enum Body {
    /// The head is not complete.
    #[default]
    Unknown,
    /// So many bytes are missing.
    Length(u64),
    Chunked(Chunked),
    /// Everything until the connection closes.
    UntilClose,
}

#[derive(Debug)]
enum Chunked {
    /// In a size line: the digits so far, whether they have ended, bytes of the line.
    Size { size: u64, digits: u32, is_past_digits: bool, length: usize },
    /// In the data, including the line end behind it.
    Data { left: u64 },
    /// In the trailer: length of the line so far, without its end.
    Trailer { length: usize },
}

/// A whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// The connection may take another request.
    pub(crate) keep_alive: bool,
}

/// The bytes are no HTTP answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

impl ResponseReader {
    /// Takes in the next bytes. `Some` when the answer is complete.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Result<Option<Response>, Malformed> {
        while matches!(self.body, Body::Unknown) {
            if bytes.is_empty() {
                return Ok(None);
            }
            let used = self.feed_head(bytes)?;
            bytes = &bytes[used..];
        }
        let is_complete = match &mut self.body {
            Body::Unknown | Body::UntilClose => false,
            Body::Length(left) => {
                let taken = (bytes.len() as u64).min(*left);
                *left -= taken;
                bytes = &bytes[taken as usize..];
                *left == 0
            }
            Body::Chunked(chunked) => {
                let (used, is_complete) = chunked.feed(bytes)?;
                bytes = &bytes[used..];
                is_complete
            }
        };
        // Bytes behind the answer would be taken for the next one's.
        let keep_alive = self.keep_alive && bytes.is_empty();
        Ok(is_complete.then_some(Response { status: self.status, keep_alive }))
    }

    /// The server has closed the connection. `Some` if that completes the answer.
    pub(crate) fn close(&self) -> Option<Response> {
        matches!(self.body, Body::UntilClose).then_some(Response { status: self.status, keep_alive: false })
    }

    /// Whether any byte of the answer has come.
    pub(crate) fn has_begun(&self) -> bool {
        !self.head.is_empty() || !matches!(self.body, Body::Unknown)
    }

    /// Adds to the head; returns how many of `bytes` belong to it. Sets `body` when it is complete.
    fn feed_head(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut head = std::mem::take(&mut self.head);
        let before = head.len();
        let room = HEAD_SIZE_MAX - before;
        head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut parsed = httparse::Response::new(&mut fields);
        let size = match parsed.parse(&head) {
            Ok(httparse::Status::Complete(size)) => size,
            Ok(httparse::Status::Partial) if head.len() == HEAD_SIZE_MAX => {
                return Err(Malformed("the head of the answer is longer than 64 KiB"));
            }
            Ok(httparse::Status::Partial) => {
                self.head = head;
                return Ok(bytes.len());
            }
            Err(_) => return Err(Malformed("the answer is no HTTP")),
        };
        self.status = parsed.code.unwrap_or(0);
        let is_version_1_1 = parsed.version == Some(1);
        self.read_fields(is_version_1_1, &fields)?;
        Ok(size - before)
    }

    fn read_fields(
        &mut self,
        is_version_1_1: bool,
        fields: &[httparse::Header<'_>],
    ) -> Result<(), Malformed> {
        // 100 Continue and the like: the real answer follows. Their head is forgotten.
        if (100..200).contains(&self.status) {
            return Ok(());
        }
        let mut length = None;
        let mut is_chunked = false;
        self.keep_alive = is_version_1_1;
        for field in fields.iter().take_while(|field| !field.name.is_empty()) {
            let is = |name: &str| field.name.eq_ignore_ascii_case(name);
            let value = std::str::from_utf8(field.value).unwrap_or_default().trim();
            if is("content-length") {
                let parsed = value.parse::<u64>().map_err(|_| Malformed("content-length is no number"))?;
                if length.is_some_and(|length| length != parsed) {
                    return Err(Malformed("there are two content-lengths"));
                }
                length = Some(parsed);
            } else if is("transfer-encoding") {
                is_chunked = value.to_ascii_lowercase().ends_with("chunked");
            } else if is("connection") {
                let has = |word: &str| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word));
                self.keep_alive = (self.keep_alive || has("keep-alive")) && !has("close");
            }
        }
        self.body = match (self.status, is_chunked, length) {
            (204 | 304, ..) => Body::Length(0),
            (_, true, _) => Body::Chunked(Chunked::size_line()),
            (_, false, Some(length)) => Body::Length(length),
            (_, false, None) => Body::UntilClose,
        };
        Ok(())
    }
}

impl Chunked {
    fn size_line() -> Chunked {
        Chunked::Size { size: 0, digits: 0, is_past_digits: false, length: 0 }
    }

    /// How many bytes were used, and whether the body is complete.
    fn feed(&mut self, bytes: &[u8]) -> Result<(usize, bool), Malformed> {
        let mut used = 0;
        while let Some(&byte) = bytes.get(used) {
            match self {
                Chunked::Data { left } => {
                    let taken = ((bytes.len() - used) as u64).min(*left);
                    *left -= taken;
                    used += taken as usize;
                    if *left == 0 {
                        *self = Chunked::size_line();
                    }
                    continue;
                }
                Chunked::Size { size, digits, is_past_digits, length } => {
                    *length += 1;
                    if *length > LINE_SIZE_MAX {
                        return Err(Malformed("a chunk's size line is too long"));
                    }
                    match (byte, char::from(byte).to_digit(16)) {
                        (b'\n', _) if *digits == 0 => return Err(Malformed("a chunk has no size")),
                        (b'\n', _) if *size == 0 => *self = Chunked::Trailer { length: 0 },
                        // The line end behind the data is thrown away with it.
                        (b'\n', _) => *self = Chunked::Data { left: *size + 2 },
                        (_, Some(digit)) if !*is_past_digits => {
                            *digits += 1;
                            // 15 digits can't overflow.
                            if *digits > 15 {
                                return Err(Malformed("a chunk is too large"));
                            }
                            *size = *size * 16 + u64::from(digit);
                        }
                        _ => *is_past_digits = true,
                    }
                }
                Chunked::Trailer { length } => match byte {
                    b'\n' if *length == 0 => return Ok((used + 1, true)),
                    b'\n' => *length = 0,
                    b'\r' => {}
                    _ if *length >= LINE_SIZE_MAX => return Err(Malformed("the trailer is too long")),
                    _ => *length += 1,
                },
            }
            used += 1;
        }
        Ok((used, false))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whole, and cut at every byte.
    #[track_caller]
    fn check(answer: &str, expected: Option<Response>) {
        let mut reader = ResponseReader::default();
        assert_eq!(reader.feed(answer.as_bytes()), Ok(expected), "{answer:?}");
        let mut reader = ResponseReader::default();
        let mut last = None;
        for byte in answer.bytes() {
            assert_eq!(last, None, "complete before the end: {answer:?}");
            last = reader.feed(&[byte]).unwrap();
        }
        assert_eq!(last, expected, "byte by byte: {answer:?}");
    }

    fn done(status: u16, keep_alive: bool) -> Option<Response> {
        Some(Response { status, keep_alive })
    }

    #[test]
    fn answers_end_where_they_say() {
        check("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", done(200, true));
        check("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", None);
        check("HTTP/1.1 204 No Content\r\n\r\n", done(204, true));
        check("HTTP/1.1 500 X\r\ncontent-length: 0\r\nConnection: close\r\n\r\n", done(500, false));
        check("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", done(200, false));
        check("HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: Keep-Alive\r\n\r\n", done(200, true));
        check("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx", done(200, true));
    }

    #[test]
    fn chunked_answers_end_with_their_trailer() {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        check(&format!("{head}5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n"), done(200, true));
        check(&format!("{head}1\r\n0\r\n0\r\nx-sum: 1\r\n\r\n"), done(200, true));
        check(&format!("{head}0\r\n"), None);
    }

    #[test]
    fn answer_without_length_ends_with_the_connection() {
        let mut reader = ResponseReader::default();
        assert!(!reader.has_begun());
        assert_eq!(reader.feed(b"HTTP/1.1 200 OK\r\n\r\nabc"), Ok(None));
        assert_eq!(reader.close(), done(200, false));
        assert_eq!(ResponseReader::default().close(), None);
    }

    #[test]
    fn bytes_behind_an_answer_end_the_connection() {
        let mut reader = ResponseReader::default();
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nxHTTP";
        assert_eq!(reader.feed(answer), Ok(done(200, false)));
    }

    #[test]
    fn nonsense_is_malformed() {
        for bad in [
            "SSH-2.0-OpenSSH\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        ] {
            assert!(ResponseReader::default().feed(bad.as_bytes()).is_err(), "{bad:?}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(HEAD_SIZE_MAX));
        assert!(ResponseReader::default().feed(endless.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(head in prop::sample::select(vec![
            "", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        ]), pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..6)) {
            let mut reader = ResponseReader::default();
            let mut result = reader.feed(head.as_bytes());
            for piece in pieces {
                if !matches!(result, Ok(None)) {
                    break;
                }
                result = reader.feed(&piece);
            }
            reader.close();
        }
    }
}
