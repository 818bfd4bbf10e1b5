//! `.dockerignore`: which paths of a folder are left out of a build context.
//!
//! It looks like `.gitignore` and means other things. Patterns are rooted: `foo` is not `a/foo`, `**/foo` is. What
//! matches a folder matches everything below it. **The last line that matches decides**, and `!x` takes back in,
//! even below a folder that a line before left out. There is no difference between files and folders.
//!
//! Sources: docs.docker.com "Build context, .dockerignore files"; moby/patternmatcher for what the page leaves
//! open; behaviour measured on CLI 28.2.2 and Engine 20.10.24 (tests of `wharf-image`). Where the classic builder's
//! client and BuildKit differ we do as BuildKit: `*` with `!**/*.md` sends `docs/a.md`.
//! Not followed: a backslash before a letter is that letter here, while Docker hands `\d` to its regular expressions.
//!
//! Limits: a file of 1 MiB, a pattern of 4,096 characters; beyond them [`Error`].

mod pattern;

use wharf_base::ErrorCode;

use pattern::Pattern;

/// LIMIT: 1 MiB is 20,000 lines; the longest in public repositories has some hundred.
const FILE_SIZE_MAX: usize = 1 << 20;

/// The rules of one `.dockerignore`.
#[derive(Clone, Debug, Default)]
pub struct Ignore {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    pattern: Pattern,
    takes_in: bool,
}

/// A `.dockerignore` can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A line holds no valid pattern.
    #[error("line {line}: `{pattern}` is not a valid pattern: {reason}")]
    Pattern {
        /// Line, from 1.
        line: usize,
        /// The pattern, at most 80 characters of it.
        pattern: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// The file is too large to be one.
    #[error("the file has {size} bytes, more than {FILE_SIZE_MAX}")]
    TooLarge {
        /// Its size.
        size: usize,
    },
}

impl Error {
    /// How a caller may act on it.
    pub fn code(&self) -> ErrorCode {
        match self {
            Error::Pattern { .. } => ErrorCode::InvalidArgument,
            Error::TooLarge { .. } => ErrorCode::TooLarge,
        }
    }
}

impl Ignore {
    /// Reads the content of a `.dockerignore`.
    ///
    /// A byte order mark is skipped. `#` begins a comment only as the first character of a line; blanks at both ends
    /// of a pattern are dropped, and so is a `/` in front.
    pub fn parse(text: &str) -> Result<Ignore, Error> {
        if text.len() > FILE_SIZE_MAX {
            return Err(Error::TooLarge { size: text.len() });
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut rules = Vec::new();
        for (index, line) in text.split('\n').enumerate() {
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let written = line.trim();
            let (takes_in, path) = match written.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, written),
            };
            let rule = match path {
                "" => Err("`!` needs a pattern behind it"),
                path => Pattern::parse(&rooted(path)),
            };
            let pattern = rule.map_err(|reason| Error::Pattern {
                line: index + 1,
                pattern: written.chars().take(80).collect(),
                reason,
            })?;
            rules.push(Rule { pattern, takes_in });
        }
        Ok(Ignore { rules })
    }

    /// Whether `path` (relative, `/` between names, no `.` or `..`) is left out. The folder itself, ``, never is.
    pub fn is_ignored(&self, path: &str) -> bool {
        self.deciding_rule(path).is_some_and(|index| !self.rules[index].takes_in)
    }

    /// Whether folder `path` is left out together with everything that may be below it, so that a walk need not
    /// enter it.
    pub fn may_skip_dir(&self, path: &str) -> bool {
        let Some(index) = self.deciding_rule(path).filter(|&index| !self.rules[index].takes_in) else {
            return false;
        };
        // The deciding rule holds below the folder too; only a later one can take something in again.
        let later = &self.rules[index + 1..];
        !later.iter().any(|rule| rule.takes_in && rule.pattern.may_match_below(path))
    }

    fn deciding_rule(&self, path: &str) -> Option<usize> {
        if path.is_empty() {
            return None;
        }
        self.rules.iter().rposition(|rule| rule.pattern.matches_path_or_parent(path))
    }
}

/// The shortest equal path, as Go's `filepath.Clean` makes it, without a slash in front.
fn rooted(path: &str) -> String {
    let is_absolute = path.starts_with('/');
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." if names.last().is_some_and(|last| *last != "..") => {
                names.pop();
            }
            ".." if is_absolute => {}
            name => names.push(name),
        }
    }
    match names.is_empty() {
        // `/` and `.` are valid and match nothing.
        true if is_absolute => "/".to_owned(),
        true => ".".to_owned(),
        false => names.join("/"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `paths`: those that are sent, then ` | `, those that are left out.
    #[track_caller]
    fn check(ignore: &str, paths: &str) {
        let rules = Ignore::parse(ignore).unwrap();
        let (sent, left_out) = paths.split_once('|').unwrap();
        for path in sent.split_whitespace() {
            assert!(!rules.is_ignored(path), "{ignore:?} must send {path}");
        }
        for path in left_out.split_whitespace() {
            assert!(rules.is_ignored(path), "{ignore:?} must leave out {path}");
        }
    }

    #[test]
    fn patterns_are_rooted() {
        check("foo", "a/foo fo foox | foo foo/x foo/x/y");
        check("*.tmp", "a/b.tmp b.tmpx | b.tmp b.tmp/x");
        check("**/foo", "afoo a/foox | foo a/foo a/b/foo a/foo/x");
        check("/foo", "a/foo | foo");
        check("a/*", "a b/c | a/b a/b/c");
        check("./a//b/../c/", "a a/b | a/c a/c/d");
    }

    #[test]
    fn last_match_wins_and_takes_in_below_a_left_out_folder() {
        check("node\n!node/keep", "node/keep node/keep/y | node node/x");
        check("*\n!a/b", "a/b a/b/c | a a/c x");
        check("*\n!a/b\na/b/c", "a/b a/b/d | a/b/c a/b/c/d");
        check("!a\na", "| a a/b");
        check("*\n!**/*.md", "x.md docs/a.md | docs docs/a.txt");
        check("docs\n!docs/*.md\ndocs/SECRET*", "docs/a.md | docs docs/SECRET.md");
        check("**\n!dist/*.whl", "dist/a-1+g0.whl | dist x dist/b/c.whlx");
    }

    #[test]
    fn lines_are_read_as_docker_reads_them() {
        check("\u{feff}foo", "bar | foo");
        check("#foo\n #h", "foo #foo | #h");
        check("  foo \t\r\nbar\r\n", "baz | foo bar");
        check("*\n! a", "a | b");
        check("\n\n", "a |");
        check("/", "a |");
        check(".", "a |");
        check("..", "a |");
        check("../x", "x |");
    }

    #[test]
    fn wildcards_and_classes() {
        check("a?b", "ab a/b aéxb | axb aéb");
        check("a*b", "a/b a/xb | ab axyb");
        check("[a-c]x", "dx axx | ax bx/y");
        check("[^a-c]x", "ax | dx -x");
        check("[\\]\\-]x", "x | ]x -x");
        check("a\\*b", "axb | a*b");
        check("a.b", "axb | a.b");
        check("a(b){c}+$|^", "abc | a(b){c}+$|^");
        check("a/**", "a b | a/b a/b/c");
        check("a/**/b", "a ab a/c b/b | a/b a/x/b a/x/y/b/z");
        check("**", "| a a/b");
        check("**/", "| a a/b");
        check("**/**", "| a a/b");
        check("**/*.txt", "a.txtx | a.txt b/a.txt b/c/a.txt");
        check("a**/*.txt", "b/x.txt | a/x.txt ab/x.txt a/b/x.txt");
        // Only literals behind a leading `**`: any path with that end, a part of a name too (as moby does since 2021).
        check("**file", "filex | file dir/file xfile");
        check("**file*", "xfile | file dir/file1");
    }

    #[test]
    fn wrong_patterns_are_told_with_their_line() {
        let reason = |text: &str| match Ignore::parse(text).unwrap_err() {
            Error::Pattern { line, reason, .. } => (line, reason),
            other => panic!("{other}"),
        };
        assert_eq!(reason("a\n\n!\n"), (3, "`!` needs a pattern behind it"));
        for bad in ["[", "[^", "a[", "[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[^bc", "a\\", "[b-a]"] {
            assert_eq!(reason(bad).0, 1, "{bad}");
        }
        assert_eq!(
            Ignore::parse("x\n  [a \n").unwrap_err().to_string(),
            "line 2: `[a` is not a valid pattern: the class has no end"
        );
    }

    #[test]
    fn limits_hold() {
        assert_eq!(Ignore::parse(&"x".repeat(FILE_SIZE_MAX + 1)).unwrap_err().code(), ErrorCode::TooLarge);
        assert!(Ignore::parse(&"x".repeat(5000)).is_err());
    }

    #[test]
    fn hopeless_folders_are_skipped() {
        let skips = |ignore: &str, path: &str| Ignore::parse(ignore).unwrap().may_skip_dir(path);
        assert!(skips("node", "node"));
        assert!(skips("node\n!other/x", "node"));
        assert!(skips("!node/x\nnode", "node"));
        assert!(skips("*\n!a/b", "c"));
        assert!(skips("*\n!*.md", "docs/x"));
        assert!(!skips("node\n!node/keep", "node"));
        assert!(!skips("*\n!a/b/c", "a/b"));
        assert!(!skips("*\n!**/*.md", "docs"));
        assert!(!skips("*\n!d*/*.md", "docs"));
        assert!(!skips("x", "node"));
        assert!(!skips("**", ""));
    }

    fn small_pattern() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("a"),
            Just("b"),
            Just("/"),
            Just("*"),
            Just("**"),
            Just("**/"),
            Just("?"),
            Just("[ab]"),
            Just("[^a]"),
        ];
        (any::<bool>(), prop::collection::vec(piece, 1..6))
            .prop_map(|(takes_in, pieces)| format!("{}{}", if takes_in { "!" } else { "" }, pieces.concat()))
    }

    fn small_path() -> impl Strategy<Value = String> {
        prop::collection::vec("[abc]{1,2}", 1..4).prop_map(|names| names.join("/"))
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}|[!#*?\\[\\]^\\\\a/\n -]{0,30}", path in small_path()) {
            if let Ok(rules) = Ignore::parse(&text) {
                rules.is_ignored(&path);
                rules.may_skip_dir(&path);
            }
        }

        #[test]
        fn nothing_below_a_skipped_folder_is_sent(
            lines in prop::collection::vec(small_pattern(), 1..5),
            dir in small_path(),
            below in small_path(),
        ) {
            let rules = Ignore::parse(&lines.join("\n")).unwrap();
            let path = format!("{dir}/{below}");
            prop_assert!(!rules.may_skip_dir(&dir) || rules.is_ignored(&path), "{lines:?} {path}");
        }
    }
}
