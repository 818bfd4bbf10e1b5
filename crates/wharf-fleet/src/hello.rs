//! Which version of the agent protocol two ends speak.
//!
//! An agent says with each request which versions it speaks, in the header `wharf-protocol: 1-2`; the server answers with
//! the newest that both know, `wharf-protocol: 2`. Without the header it is version 1, which is older than the header.
//! Ends that have none in common part with a message that says which of both is to be upgraded. Pure.
//!
//! A new version is for what the other end can't ignore: members that are not known are ignored anyway. `OURS.oldest`
//! goes up only when the release before speaks the version that is left, so that servers are upgraded first and agents
//! later, one by one.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::Error;

/// The header, in both directions.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("wharf-protocol");
/// What this program speaks, as agent and as server.
pub(crate) const OURS: Spoken = Spoken { oldest: 1, newest: 1 };

/// Versions that a program speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spoken {
    pub(crate) oldest: u16,
    pub(crate) newest: u16,
}

/// Why two ends can't work together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The agent's newest version is no longer spoken by the server.
    #[error(
        "this agent is too old for its server: it speaks version {agent} of the agent protocol, the server {server}\n  hint: install the server's version of wharf on this host and restart `wharf agent`"
    )]
    AgentTooOld {
        /// The agent's versions.
        agent: String,
        /// The server's.
        server: String,
    },
    /// The server's newest version is no longer spoken by the agent.
    #[error(
        "this agent is too new for its server: it speaks version {agent} of the agent protocol, the server {server}\n  hint: upgrade the server first, then its agents"
    )]
    ServerTooOld {
        /// The agent's versions.
        agent: String,
        /// The server's.
        server: String,
    },
    /// The header holds something else.
    #[error("the header wharf-protocol must be like `1` or `1-2`, not `{0}`")]
    Unreadable(String),
}

impl Spoken {
    /// The value of the header.
    pub(crate) fn header(self) -> HeaderValue {
        HeaderValue::from_str(&self.to_string()).expect("numbers and a dash are a header's value")
    }

    /// What the other end speaks; version 1 without the header.
    fn of(headers: &HeaderMap) -> Result<Spoken, Mismatch> {
        let Some(value) = headers.get(HEADER) else { return Ok(Spoken { oldest: 1, newest: 1 }) };
        let text = String::from_utf8_lossy(value.as_bytes());
        let (oldest, newest) = text.split_once('-').unwrap_or((&text, &text));
        match (oldest.parse(), newest.parse()) {
            (Ok(oldest), Ok(newest)) if oldest <= newest => Ok(Spoken { oldest, newest }),
            _ => Err(Mismatch::Unreadable(text.chars().take(40).collect())),
        }
    }
}

impl std::fmt::Display for Spoken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.oldest == self.newest {
            true => write!(f, "{}", self.newest),
            false => write!(f, "{}-{}", self.oldest, self.newest),
        }
    }
}

/// The newest version that both speak.
fn agree(agent: Spoken, server: Spoken) -> Result<u16, Mismatch> {
    let both = agent.newest.min(server.newest);
    if both >= agent.oldest.max(server.oldest) {
        return Ok(both);
    }
    let (agent_text, server_text) = (agent.to_string(), server.to_string());
    Err(match agent.newest < server.oldest {
        true => Mismatch::AgentTooOld { agent: agent_text, server: server_text },
        false => Mismatch::ServerTooOld { agent: agent_text, server: server_text },
    })
}

/// Server's side: the version for this request.
pub(crate) fn accept(headers: &HeaderMap) -> Result<u16, Mismatch> {
    agree(Spoken::of(headers)?, OURS)
}

/// Agent's side: whether the answer is in a version that we speak. A server from before the header answers without it.
pub(crate) fn check_answer(headers: &HeaderMap) -> Result<(), Error> {
    agree(OURS, Spoken::of(headers)?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(value: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.insert(HEADER, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn the_header_is_a_version_or_a_range_and_version_1_without_it() {
        for (text, oldest, newest) in [(None, 1, 1), (Some("1"), 1, 1), (Some("2-5"), 2, 5)] {
            assert_eq!(Spoken::of(&headers(text)), Ok(Spoken { oldest, newest }), "{text:?}");
        }
        for bad in ["", "x", "-", "1-", "-1", "2-1", "1-2-3", "70000", "1.0", " 1"] {
            let bad_value = HeaderMap::from_iter([(HEADER, HeaderValue::from_str(bad).unwrap())]);
            assert!(matches!(Spoken::of(&bad_value), Err(Mismatch::Unreadable(_))), "{bad:?}");
        }
        let spoken = Spoken { oldest: 2, newest: 5 };
        assert_eq!(Spoken::of(&HeaderMap::from_iter([(HEADER, spoken.header())])), Ok(spoken));
    }

    #[test]
    fn a_server_works_with_agents_of_the_version_before_and_says_who_is_to_be_upgraded() {
        let spoken = |oldest, newest| Spoken { oldest, newest };
        let server = spoken(2, 3);
        assert_eq!(agree(spoken(1, 2), server), Ok(2), "the version before");
        assert_eq!(agree(spoken(3, 4), server), Ok(3), "the version after");
        let (old, new) = (agree(spoken(1, 1), server).unwrap_err(), agree(spoken(4, 4), server).unwrap_err());
        assert!(old.to_string().contains("install the server's version of wharf on this host"), "{old}");
        assert!(new.to_string().contains("upgrade the server first"), "{new}");
    }

    #[test]
    fn this_program_still_speaks_with_programs_from_before_the_header() {
        assert_eq!(accept(&headers(None)), Ok(1));
        assert!(check_answer(&headers(None)).is_ok());
    }

    fn ranges() -> impl Strategy<Value = Spoken> {
        (0_u16..9, 0_u16..9).prop_map(|(oldest, more)| Spoken { oldest, newest: oldest + more })
    }

    proptest! {
        #[test]
        fn what_is_agreed_is_the_newest_of_both(agent in ranges(), server in ranges()) {
            let speaks = |who: Spoken, version: u16| who.oldest <= version && version <= who.newest;
            let newest = (0..20).rev().find(|&version| speaks(agent, version) && speaks(server, version));
            prop_assert_eq!(agree(agent, server).ok(), newest);
        }
    }
}
