//! One pattern: Go's `filepath.Match` with `**` added, run as a small automaton.
//!
//! Time is pattern length × path length whatever the pattern is: all places where the match may stand are followed
//! at once, so a hostile `*a*a*a*…` costs nothing special.

/// LIMIT: the longest path that Linux takes; a longer pattern can't match.
const PATTERN_CHARS_MAX: usize = 4096;

/// A pattern that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// This character.
    Literal(char),
    /// `?`: one character but `/`.
    AnyChar,
    /// `[a-c]`, `[^a]`: one character, which may be `/` when negated, as in Go.
    Class { negated: bool, ranges: Vec<(char, char)> },
    /// `*`: any number of characters but `/`.
    AnyName,
    /// `**` at the end: anything.
    AnyRest,
    /// `**` before more, first half: nothing, or go on with the second half.
    AnyFolders,
    /// Second half: anything that ends with `/`.
    FoldersLoop,
}

impl Pattern {
    /// Parses a clean pattern. The error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Pattern, &'static str> {
        if text.chars().count() > PATTERN_CHARS_MAX {
            return Err("it is longer than any path");
        }
        let mut tokens = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '*' if chars.next_if_eq(&'*').is_some() => {
                    chars.next_if_eq(&'/');
                    match chars.peek() {
                        None => tokens.push(Token::AnyRest),
                        Some(_) => tokens.extend([Token::AnyFolders, Token::FoldersLoop]),
                    }
                }
                '*' => tokens.push(Token::AnyName),
                '?' => tokens.push(Token::AnyChar),
                '[' => tokens.push(class(&mut chars)?),
                '\\' => tokens.push(Token::Literal(chars.next().ok_or("it ends with a backslash")?)),
                c => tokens.push(Token::Literal(c)),
            }
        }
        if is_plain_suffix(text) {
            tokens.splice(..2, [Token::AnyRest]);
        }
        Ok(Pattern { tokens })
    }

    /// Whether the pattern matches `path` or a folder that it is in.
    pub(super) fn matches_path_or_parent(&self, path: &str) -> bool {
        let mut places = Places::start(&self.tokens);
        for c in path.chars() {
            if c == '/' && places.is_match() {
                return true;
            }
            places.step(c);
            if places.is_empty() {
                return false;
            }
        }
        places.is_match()
    }

    /// Whether some path below folder `path` may match.
    pub(super) fn may_match_below(&self, path: &str) -> bool {
        let mut places = Places::start(&self.tokens);
        for c in path.chars().chain(['/']) {
            if c == '/' && places.is_match() {
                return true;
            }
            places.step(c);
        }
        !places.is_empty()
    }
}

/// `**name`: moby looks whether the path ends with `name`, when nothing behind the `**` is special.
fn is_plain_suffix(text: &str) -> bool {
    let is_special = |c: char| matches!(c, '*' | '?' | '[' | ']' | '\\');
    text.strip_prefix("**")
        .is_some_and(|end| !end.is_empty() && !end.starts_with('/') && !end.contains(is_special))
}

/// Reads a class behind its `[`. Grammar: Go `path/filepath.Match`.
fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Token, &'static str> {
    const ENDLESS: &str = "the class has no end";
    let negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    let end = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| match chars.next() {
        None => Err(ENDLESS),
        Some('-' | ']') => Err("`-` and `]` in a class need a backslash"),
        Some('\\') => chars.next().ok_or(ENDLESS),
        Some(c) => Ok(c),
    };
    loop {
        if !ranges.is_empty() && chars.next_if_eq(&']').is_some() {
            return Ok(Token::Class { negated, ranges });
        }
        let low = end(chars)?;
        let high = if chars.next_if_eq(&'-').is_some() { end(chars)? } else { low };
        if low > high {
            return Err("a range of the class runs backwards");
        }
        ranges.push((low, high));
    }
}

/// The tokens before which a match may stand. Index `tokens.len()` is the end of the pattern.
struct Places<'a> {
    tokens: &'a [Token],
    now: Vec<bool>,
    next: Vec<bool>,
}

impl<'a> Places<'a> {
    fn start(tokens: &'a [Token]) -> Places<'a> {
        let mut now = vec![false; tokens.len() + 1];
        add(tokens, &mut now, 0);
        Places { tokens, next: vec![false; tokens.len() + 1], now }
    }

    fn is_match(&self) -> bool {
        self.now[self.tokens.len()]
    }

    fn is_empty(&self) -> bool {
        !self.now.contains(&true)
    }

    fn step(&mut self, c: char) {
        self.next.fill(false);
        for (index, token) in self.tokens.iter().enumerate().filter(|(index, _)| self.now[*index]) {
            let target = match token {
                Token::Literal(literal) => (*literal == c).then_some(index + 1),
                Token::AnyChar => (c != '/').then_some(index + 1),
                Token::Class { negated, ranges } => {
                    let is_in = ranges.iter().any(|(low, high)| (low..=high).contains(&&c));
                    (is_in != *negated).then_some(index + 1)
                }
                Token::AnyName => (c != '/').then_some(index),
                Token::AnyRest => Some(index),
                Token::AnyFolders => None,
                Token::FoldersLoop => {
                    self.next[index] = true;
                    (c == '/').then_some(index + 1)
                }
            };
            if let Some(target) = target {
                add(self.tokens, &mut self.next, target);
            }
        }
        std::mem::swap(&mut self.now, &mut self.next);
    }
}

/// Adds a place and those that are reached from it without a character.
fn add(tokens: &[Token], places: &mut [bool], mut index: usize) {
    while !std::mem::replace(&mut places[index], true) {
        match tokens.get(index) {
            Some(Token::AnyName | Token::AnyRest) => index += 1,
            Some(Token::AnyFolders) => {
                places[index + 1] = true;
                index += 2;
            }
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same language by trying everything, as slow as it is plain.
    fn oracle(pattern: &[char], path: &[char]) -> bool {
        match pattern {
            [] => path.is_empty(),
            ['*', '*', rest @ ..] => {
                let rest = rest.strip_prefix(&['/']).unwrap_or(rest);
                if rest.is_empty() {
                    return true;
                }
                let behind_slash = (0..path.len()).filter(|&index| path[index] == '/');
                oracle(rest, path) || behind_slash.into_iter().any(|index| oracle(rest, &path[index + 1..]))
            }
            ['*', rest @ ..] => {
                let name = path.iter().position(|&c| c == '/').unwrap_or(path.len());
                (0..=name).any(|end| oracle(rest, &path[end..]))
            }
            ['?', rest @ ..] => path.first().is_some_and(|&c| c != '/') && oracle(rest, &path[1..]),
            [c, rest @ ..] => path.first() == Some(c) && oracle(rest, &path[1..]),
        }
    }

    proptest! {
        #[test]
        fn automaton_agrees_with_trying_everything(text in "[ab/*?]{1,7}", path in "[ab]{1,2}(/[ab]{1,2}){0,3}") {
            prop_assume!(!is_plain_suffix(&text));
            let pattern = Pattern::parse(&text).unwrap();
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            let ends = path.match_indices('/').map(|(index, _)| index).chain([path.len()]);
            let expected = ends.into_iter().any(|end| oracle(&chars(&text), &chars(&path[..end])));
            prop_assert_eq!(pattern.matches_path_or_parent(&path), expected);
        }
    }

    #[test]
    fn hostile_pattern_costs_little() {
        let pattern = Pattern::parse(&"*a".repeat(1000)).unwrap();
        assert!(!pattern.matches_path_or_parent(&"b".repeat(4000)));
        assert!(!pattern.matches_path_or_parent(&"a".repeat(999)));
    }
}
