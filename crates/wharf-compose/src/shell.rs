//! Splits a command line into words as a POSIX shell does, without expanding anything.
//!
//! Source: POSIX `XCU 2.2 Quoting` and `2.3 Token Recognition`. Operators such as `&&` and `>` have no meaning
//! here, because no shell runs: they stay words, and [`Words::operator`] names the first one for a warning.

/// A split command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) words: Vec<String>,
    /// The first unquoted operator, which a shell would have acted on.
    pub(crate) operator: Option<String>,
}

/// Splits `text`. An error names the quote that is not closed.
pub(crate) fn split(text: &str) -> Result<Words, String> {
    let mut splitter = Splitter { words: Vec::new(), word: None, operator: None };
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            ' ' | '\t' | '\n' | '\r' => splitter.end_word(),
            '\\' => match characters.next() {
                Some('\n') => {}
                Some(escaped) => splitter.push(escaped),
                None => return Err("a backslash at the end escapes nothing".to_owned()),
            },
            '\'' => {
                splitter.word.get_or_insert_default();
                loop {
                    match characters.next() {
                        Some('\'') => break,
                        Some(quoted) => splitter.push(quoted),
                        None => return Err("a `'` is not closed".to_owned()),
                    }
                }
            }
            '"' => {
                splitter.word.get_or_insert_default();
                loop {
                    match characters.next() {
                        Some('"') => break,
                        Some('\\') => match characters.next() {
                            Some('\n') => {}
                            Some(escaped @ ('"' | '\\' | '$' | '`')) => splitter.push(escaped),
                            Some(other) => {
                                splitter.push('\\');
                                splitter.push(other);
                            }
                            None => return Err("a `\"` is not closed".to_owned()),
                        },
                        Some(quoted) => splitter.push(quoted),
                        None => return Err("a `\"` is not closed".to_owned()),
                    }
                }
            }
            '|' | '&' | ';' | '<' | '>' => {
                if splitter.operator.is_none() {
                    let doubled = characters.peek() == Some(&c);
                    splitter.operator = Some(if doubled { format!("{c}{c}") } else { c.to_string() });
                }
                splitter.push(c);
            }
            _ => splitter.push(c),
        }
    }
    splitter.end_word();
    Ok(Words { words: splitter.words, operator: splitter.operator })
}

struct Splitter {
    words: Vec<String>,
    word: Option<String>,
    operator: Option<String>,
}

impl Splitter {
    fn push(&mut self, c: char) {
        self.word.get_or_insert_default().push(c);
    }

    fn end_word(&mut self) {
        self.words.extend(self.word.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn splits_like_a_shell() {
        let cases: [(&str, &[&str]); 14] = [
            ("", &[]),
            ("  ", &[]),
            ("a b  c", &["a", "b", "c"]),
            ("a 'b c' d", &["a", "b c", "d"]),
            ("a \"b c\"d", &["a", "b cd"]),
            ("sh -c 'echo \"hi there\"'", &["sh", "-c", "echo \"hi there\""]),
            (r"a\ b c\\d", &["a b", r"c\d"]),
            (r#""a\"b" "\n""#, &["a\"b", r"\n"]),
            ("''", &[""]),
            ("a '' b", &["a", "", "b"]),
            ("a \\\n b", &["a", "b"]),
            ("--x='y z'", &["--x=y z"]),
            ("é 'ü'", &["é", "ü"]),
            ("a #b", &["a", "#b"]),
        ];
        for (text, expected) in cases {
            assert_eq!(split(text).unwrap().words, expected, "{text}");
        }
    }

    #[test]
    fn names_open_quotes_and_operators() {
        for text in ["'a", "\"a", "\"a\\", "a\\"] {
            assert!(split(text).is_err(), "{text}");
        }
        for (text, operator) in [
            ("a && b", Some("&&")),
            ("a > b", Some(">")),
            ("a 'b && c'", None),
            (r"a \| b", None),
            ("a;b", Some(";")),
        ] {
            assert_eq!(split(text).unwrap().operator.as_deref(), operator, "{text}");
        }
    }

    proptest! {
        #[test]
        fn quoting_every_word_and_splitting_is_identity(words in proptest::collection::vec("[^']{0,12}", 0..8)) {
            let line = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(split(&line).unwrap().words, words);
        }
    }
}
