//! Scalars: what a plain text such as `8080`, `true` or `1.10` stands for.
//!
//! Source: `resolve.go` of yaml.v3, which compose-go uses: YAML 1.2's core schema, plus `_` inside numbers, `0b`,
//! and a leading `0` for octal. `yes`, `on` and `22:22` are strings. Quoted and block texts are always strings.
//!
//! Where Compose wants a string, it prints the number that it read: `1.10` becomes `1.1`. [`Scalar`] keeps the
//! text as written, so that the reader can do the same and warn about it.

/// A scalar as resolved.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    /// A number and how it was written.
    Integer(i128, String),
    Float(f64, String),
    String(String),
}

impl Scalar {
    /// Resolves a text without quotes.
    pub(crate) fn from_plain(text: &str) -> Scalar {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
            "true" | "True" | "TRUE" => return Scalar::Bool(true),
            "false" | "False" | "FALSE" => return Scalar::Bool(false),
            ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
                return Scalar::Float(f64::INFINITY, text.to_owned());
            }
            "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY, text.to_owned()),
            ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN, text.to_owned()),
            _ => {}
        }
        if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
            return Scalar::String(text.to_owned());
        }
        let digits = text.replace('_', "");
        if let Some(value) = integer(&digits) {
            return Scalar::Integer(value, text.to_owned());
        }
        match float(&digits) {
            Some(value) => Scalar::Float(value, text.to_owned()),
            None => Scalar::String(text.to_owned()),
        }
    }

    /// The string that Compose makes of it; `None` is null.
    pub(crate) fn to_text(&self) -> Option<String> {
        match self {
            Scalar::Null => None,
            Scalar::Bool(value) => Some(value.to_string()),
            Scalar::Integer(value, _) => Some(value.to_string()),
            Scalar::Float(value, _) => Some(go_float(*value)),
            Scalar::String(text) => Some(text.clone()),
        }
    }

    /// The text in the file, where [`Scalar::to_text`] gives another one.
    pub(crate) fn rewritten(&self) -> Option<&str> {
        match self {
            Scalar::Integer(_, text) | Scalar::Float(_, text) => {
                (self.to_text().as_deref() != Some(text)).then_some(text)
            }
            Scalar::Null | Scalar::Bool(_) | Scalar::String(_) => None,
        }
    }

    pub(crate) fn describe(&self) -> String {
        match self {
            Scalar::Null => "nothing".to_owned(),
            Scalar::Bool(value) => format!("the boolean `{value}`"),
            Scalar::Integer(_, text) | Scalar::Float(_, text) => format!("the number `{}`", shorten(text)),
            Scalar::String(text) => format!("the string `{}`", shorten(text)),
        }
    }
}

/// At most 60 characters on one line, for messages.
pub(crate) fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short
}

/// Go's `strconv.ParseInt(text, 0, 64)`, or `ParseUint`, after `_` was taken out.
fn integer(text: &str) -> Option<i128> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let (radix, digits) = match digits.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (16, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        Some(_) if digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    // from_str_radix takes a sign of its own.
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let value = sign * i128::from(u64::from_str_radix(digits, radix).ok()?);
    (value >= i128::from(i64::MIN)).then_some(value)
}

/// `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`
fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let starts_well = unsigned.starts_with(|c: char| c.is_ascii_digit())
        || (unsigned.starts_with('.') && unsigned[1..].starts_with(|c: char| c.is_ascii_digit()));
    if !starts_well
        || !unsigned.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'))
    {
        return None;
    }
    text.parse().ok()
}

/// Go's `%v` of a float64: the shortest digits, with an exponent below 1e-4 and from 1e21 on.
fn go_float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    if value == 0.0 || (1e-4..1e21).contains(&value.abs()) {
        return format!("{value}");
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(rest) => ('-', rest),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_resolve_as_in_compose_go() {
        let cases = [
            ("", None),
            ("~", None),
            ("null", None),
            ("true", Some("true")),
            ("TRUE", Some("true")),
            ("yes", Some("yes")),
            ("on", Some("on")),
            ("8080", Some("8080")),
            ("-1", Some("-1")),
            ("+1", Some("1")),
            ("0x1F", Some("31")),
            ("0o17", Some("15")),
            ("0755", Some("493")),
            ("0899", Some("899")),
            ("1_000", Some("1000")),
            ("22:22", Some("22:22")),
            ("1.10", Some("1.1")),
            ("1.0", Some("1")),
            ("1e3", Some("1000")),
            ("1e21", Some("1e+21")),
            ("1e-7", Some("1e-07")),
            ("1.2.3", Some("1.2.3")),
            ("2024-01-31", Some("2024-01-31")),
            ("18446744073709551615", Some("18446744073709551615")),
            ("-", Some("-")),
            ("+-1", Some("+-1")),
            (".5", Some("0.5")),
            (".", Some(".")),
            ("0x", Some("0x")),
            (".inf", Some("+Inf")),
            ("web", Some("web")),
        ];
        for (text, expected) in cases {
            assert_eq!(Scalar::from_plain(text).to_text().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn says_when_the_text_of_a_number_is_lost() {
        for (text, expected) in
            [("1.10", Some("1.10")), ("0755", Some("0755")), ("1.5", None), ("8080", None), ("x", None)]
        {
            assert_eq!(Scalar::from_plain(text).rewritten(), expected, "{text}");
        }
    }
}
