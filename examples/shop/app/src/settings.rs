//! Settings from the environment.

use std::time::Duration;

/// How this instance behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// `PORT`, 8000 by default; 0 takes a free one.
    pub(crate) port: u16,
    /// `VERSION`, shown on the page and in the header `x-version`.
    pub(crate) version: String,
    /// `BROKEN=1`: `/up` answers 503 for ever. For trying out a deploy that must be refused.
    pub(crate) is_broken: bool,
    /// `DELAY_MS`: every answer but `/up` waits so long.
    pub(crate) delay: Duration,
    /// `HOSTNAME`, which Docker sets to the container's id.
    pub(crate) host: String,
}

impl Settings {
    /// Reads them; `get` looks up a variable. The error names the variable that is wrong.
    pub(crate) fn from_environment(get: impl Fn(&str) -> Option<String>) -> Result<Settings, String> {
        let get = |name: &str| get(name).filter(|value| !value.is_empty());
        let number = |name: &str, default: u64, most: u64| match get(name) {
            None => Ok(default),
            Some(text) => match text.parse::<u64>() {
                Ok(value) if value <= most => Ok(value),
                _ => Err(format!("{name} is `{text}`, not a number up to {most}")),
            },
        };
        let version = get("VERSION").unwrap_or_else(|| "1".to_owned());
        if version.len() > 64 || !version.chars().all(|c| c.is_ascii_graphic() && c != '<' && c != '&') {
            return Err(format!("VERSION is `{version}`, not a short word"));
        }
        Ok(Settings {
            port: number("PORT", 8000, u64::from(u16::MAX))? as u16,
            version,
            is_broken: matches!(get("BROKEN").as_deref(), Some("1" | "true")),
            delay: Duration::from_millis(number("DELAY_MS", 0, 60_000)?),
            host: get("HOSTNAME").unwrap_or_else(|| "localhost".to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, String> {
        Settings::from_environment(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn defaults_hold_when_nothing_is_set() {
        let settings = read(&[("PORT", "")]).unwrap();
        assert_eq!((settings.port, settings.version.as_str(), settings.is_broken), (8000, "1", false));
    }

    #[test]
    fn wrong_settings_are_named() {
        assert_eq!(read(&[("PORT", "70000")]).unwrap_err(), "PORT is `70000`, not a number up to 65535");
        assert!(read(&[("VERSION", "<b>")]).unwrap_err().starts_with("VERSION"));
        assert!(read(&[("DELAY_MS", "soon")]).unwrap_err().starts_with("DELAY_MS"));
    }
}
