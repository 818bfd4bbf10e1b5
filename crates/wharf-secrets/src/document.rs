//! The text inside of `secrets.age`: one `NAME=value` per line.
//!
//! A value is taken as it stands, without the blanks around it: `$`, `#` and `\` mean themselves, because passwords are
//! full of them. Values that begin or end with blanks or a quote, or have several lines, are quoted: in `'…'` everything
//! means itself; in `"…"` the escapes are `\n \r \t \" \\`. Both may span lines. `#` at the beginning of a line is a
//! comment, `export ` before a name is allowed. Comments and order survive changes.
//!
//! Limits: 1 MiB of text, 1,000 names, 500,000 bytes per value (Docker's limit for a secret). Errors name the line and
//! the name, never a value.

use std::ops::Range;

/// LIMIT: bytes of the whole text.
pub const TEXT_BYTES_MAX: usize = 1 << 20;
/// LIMIT: bytes of one value, as Docker has it.
pub const VALUE_BYTES_MAX: usize = 500_000;
/// LIMIT: names in one file.
pub const NAMES_MAX: usize = 1_000;
/// LIMIT: characters of a name.
const NAME_LENGTH_MAX: usize = 128;

/// The names and values of one file, with the text they stand in.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Document {
    text: String,
    entries: Vec<Entry>,
}

/// One definition.
#[derive(Clone, PartialEq, Eq)]
struct Entry {
    name: String,
    value: String,
    /// Its lines in the text, the last line's end included.
    span: Range<usize>,
}

impl Drop for Document {
    fn drop(&mut self) {
        use zeroize::Zeroize as _;
        self.text.zeroize();
        self.entries.iter_mut().for_each(|entry| entry.value.zeroize());
    }
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// A text is no document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct DocumentError {
    /// From 1.
    pub line: usize,
    /// What is wrong, without any value.
    pub message: String,
}

/// Whether a text can name a secret: letters, digits, `_`, `.` and `-`, at most 128 of them, none of `.` or `-` first.
pub fn is_name(text: &str) -> bool {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    (1..=NAME_LENGTH_MAX).contains(&text.len()) && text.chars().all(is_fine) && !text.starts_with(['.', '-'])
}

impl Document {
    /// Reads a text.
    pub fn parse(text: &str) -> Result<Document, DocumentError> {
        let mut reader = Reader { text, at: 0, line: 1 };
        if text.len() > TEXT_BYTES_MAX {
            return Err(reader.error(format!("the text is larger than {TEXT_BYTES_MAX} bytes")));
        }
        if let Some(index) = text.find('\0') {
            let line = text[..index].matches('\n').count() + 1;
            return Err(DocumentError { line, message: "a NUL byte".to_owned() });
        }
        if text.starts_with('\u{feff}') {
            reader.at = '\u{feff}'.len_utf8();
        }
        let mut document = Document { text: text.to_owned(), entries: Vec::new() };
        while let Some(entry) = reader.next()? {
            let error = |message: String| Err(DocumentError { line: entry.1, message });
            let entry = &entry.0;
            if document.get(&entry.name).is_some() {
                return error(format!("`{}` is there twice", entry.name));
            }
            if entry.value.len() > VALUE_BYTES_MAX {
                return error(format!("`{}` is larger than {VALUE_BYTES_MAX} bytes", entry.name));
            }
            if document.entries.len() == NAMES_MAX {
                return error(format!("more than {NAMES_MAX} names"));
            }
            document.entries.push(entry.clone());
        }
        Ok(document)
    }

    /// The text, with comments.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Names in the order of the text.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.entries.iter().find(|entry| entry.name == name).map(|entry| entry.value.as_str())
    }

    /// Names and values in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|entry| (entry.name.as_str(), entry.value.as_str()))
    }

    /// The document with `name` set to `value`: in its old place, or as a new last line.
    ///
    /// Errors: a text that can't be a name, a value with a NUL byte, a limit.
    pub fn with(&self, name: &str, value: &str) -> Result<Document, DocumentError> {
        if !is_name(name) {
            let message = format!("`{}` can't name a secret: letters, digits, `_`, `.`, `-`", short(name));
            return Err(DocumentError { line: 1, message });
        }
        let line = format!("{name}={}\n", quoted(value));
        let mut text = self.text.clone();
        match self.entries.iter().find(|entry| entry.name == name) {
            Some(entry) => text.replace_range(entry.span.clone(), &line),
            None => {
                if !text.is_empty() && !text.ends_with('\n') {
                    text.push('\n');
                }
                text.push_str(&line);
            }
        }
        Document::parse(&text)
    }

    /// The document without `name`; `None` if it has none.
    pub fn without(&self, name: &str) -> Option<Document> {
        let entry = self.entries.iter().find(|entry| entry.name == name)?;
        let mut text = self.text.clone();
        text.replace_range(entry.span.clone(), "");
        Some(Document::parse(&text).expect("a document without one of its definitions is one"))
    }
}

/// The value as it can stand after `NAME=`.
fn quoted(value: &str) -> String {
    let needs_quotes =
        value.trim() != value || value.starts_with(['\'', '"']) || value.contains(['\n', '\r']);
    if !needs_quotes {
        return value.to_owned();
    }
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            other => text.push(other),
        }
    }
    text.push('"');
    text
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl Reader<'_> {
    fn error(&self, message: impl Into<String>) -> DocumentError {
        DocumentError { line: self.line, message: message.into() }
    }

    /// The next definition and its line; comments and blank lines are passed over.
    fn next(&mut self) -> Result<Option<(Entry, usize)>, DocumentError> {
        loop {
            let rest = &self.text[self.at..];
            if rest.is_empty() {
                return Ok(None);
            }
            let line = first_line(rest);
            let content = line.trim();
            if content.is_empty() || content.starts_with('#') {
                self.go_over(line.len() + 1);
                continue;
            }
            let (began, begin) = (self.line, self.at);
            let Some((left, _)) = line.split_once('=') else {
                let hint = "hint: write NAME=value, and `#` before a comment";
                return Err(self.error(format!("no `=`\n  {hint}")));
            };
            let name = left.trim();
            let name = name.strip_prefix("export ").unwrap_or(name).trim();
            if !is_name(name) {
                let hint = "hint: letters, digits, `_`, `.` and `-`; several lines belong into quotes";
                return Err(self.error(format!("what stands before the `=` can't name a secret\n  {hint}")));
            }
            self.go_over(left.len() + 1);
            let value = self.value(name)?;
            let entry = Entry { name: name.to_owned(), value, span: begin..self.at };
            return Ok(Some((entry, began)));
        }
    }

    fn value(&mut self, name: &str) -> Result<String, DocumentError> {
        let line = first_line(&self.text[self.at..]);
        let blanks = line.len() - line.trim_start().len();
        match line.trim_start().chars().next() {
            Some(quote @ ('\'' | '"')) => {
                self.go_over(blanks + 1);
                self.quoted_value(name, quote)
            }
            _ => {
                let value = line.trim().to_owned();
                self.go_over(line.len() + 1);
                Ok(value)
            }
        }
    }

    /// What is between quotes; the first one has been read.
    fn quoted_value(&mut self, name: &str, quote: char) -> Result<String, DocumentError> {
        let rest = &self.text[self.at..];
        let mut value = String::new();
        let mut characters = rest.char_indices();
        while let Some((index, c)) = characters.next() {
            match c {
                c if c == quote => {
                    self.go_over(index + 1);
                    let line = first_line(&self.text[self.at..]);
                    let after = line.trim();
                    if !after.is_empty() && !after.starts_with('#') {
                        return Err(self.error(format!("`{name}`: something follows the closing {quote}")));
                    }
                    self.go_over(line.len() + 1);
                    return Ok(value);
                }
                '\\' if quote == '"' => match characters.next().map(|(_, escaped)| escaped) {
                    Some('n') => value.push('\n'),
                    Some('r') => value.push('\r'),
                    Some('t') => value.push('\t'),
                    Some(escaped @ ('"' | '\\')) => value.push(escaped),
                    Some(other) => value.extend(['\\', other]),
                    None => break,
                },
                other => value.push(other),
            }
        }
        Err(self.error(format!("`{name}`: the {quote} is not closed")))
    }

    /// Goes on by so many bytes, at most to the end.
    fn go_over(&mut self, bytes: usize) {
        let end = (self.at + bytes).min(self.text.len());
        self.line += self.text[self.at..end].matches('\n').count();
        self.at = end;
    }
}

fn first_line(text: &str) -> &str {
    text.split('\n').next().unwrap_or_default()
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let document = Document::parse(text).unwrap();
        assert_eq!(document.iter().collect::<Vec<_>>(), expected, "{text}");
    }

    fn check_error(text: &str, line: usize, part: &str) {
        let error = Document::parse(text).unwrap_err();
        assert!(error.line == line && error.message.contains(part), "{text}: {error}");
        assert!(!error.message.contains("s3cr3t"), "{error}");
    }

    #[test]
    fn reads_every_form() {
        check("", &[]);
        check("# nothing\n\n", &[]);
        check("A=1\nB = two \nexport C=3", &[("A", "1"), ("B", "two"), ("C", "3")]);
        check("P=pa$$word#1\\n", &[("P", "pa$$word#1\\n")]);
        check("P=a=b==", &[("P", "a=b==")]);
        check("E=\nF=''", &[("E", ""), ("F", "")]);
        check("A=' x '\nB=\"a\\n\\\"b\\\"\" # why", &[("A", " x "), ("B", "a\n\"b\"")]);
        check("KEY='-----\nline\n-----'\nB=1\r\n", &[("KEY", "-----\nline\n-----"), ("B", "1")]);
        check("\u{feff}db.pass-word=1", &[("db.pass-word", "1")]);
    }

    #[test]
    fn errors_name_the_line_and_no_value() {
        check_error("A=1\ns3cr3t", 2, "no `=`");
        check_error("A=1\ns3cr3t!=3", 2, "can't name a secret");
        check_error("A=1\nB='s3cr3t\n", 2, "`B`: the ' is not closed");
        check_error("A=\"x\" s3cr3t", 1, "follows the closing");
        check_error("A=s3cr3t\nA=2", 2, "`A` is there twice");
        check_error("A=\0", 1, "NUL");
    }

    #[test]
    fn changes_keep_comments_and_order() {
        let document = Document::parse("# the database\nDB=old\n\n# mail\nMAIL='a\nb'\n").unwrap();
        let changed = document.with("DB", "new").unwrap().with("API", "x").unwrap();
        assert_eq!(changed.text(), "# the database\nDB=new\n\n# mail\nMAIL='a\nb'\nAPI=x\n");
        let less = changed.without("MAIL").unwrap();
        assert_eq!(less.text(), "# the database\nDB=new\n\n# mail\nAPI=x\n");
        assert!(less.without("MAIL").is_none());
        assert!(less.with("a b", "x").is_err() && less.with("A", "\0").is_err());
        assert_eq!(format!("{less:?}"), r#"["DB", "API"]"#);
    }

    proptest! {
        #[test]
        fn what_is_set_is_read_back_and_others_stay(
            names in proptest::collection::btree_set("[A-Za-z_][A-Za-z0-9_.-]{0,8}", 1..6),
            value in r#"([ -~\n\r\t é'"\\#$=]){0,60}"#,
            other in r#"([ -~\n\t'"\\]){0,40}"#,
        ) {
            let mut document = Document::parse("# head\n").unwrap();
            for name in &names {
                document = document.with(name, &other).unwrap();
            }
            let chosen = names.iter().next().unwrap();
            let changed = document.with(chosen, &value).unwrap();
            prop_assert_eq!(changed.get(chosen), Some(value.as_str()));
            for name in names.iter().skip(1) {
                prop_assert_eq!(changed.get(name), Some(other.as_str()));
            }
            let same = Document::parse(changed.text()).unwrap();
            prop_assert!(same == changed);
            prop_assert!(changed.text().starts_with("# head\n"));
        }

        #[test]
        fn no_text_panics_and_what_parses_prints_the_same(text in r#"([A-Z=#'"$\\ \n\r\té]|export ){0,80}"#) {
            if let Ok(document) = Document::parse(&text) {
                prop_assert_eq!(document.text(), text.as_str());
                let first = document.names().next().map(str::to_owned);
                if let Some(name) = first {
                    prop_assert!(document.without(&name).unwrap().get(&name).is_none());
                }
            }
        }
    }
}
