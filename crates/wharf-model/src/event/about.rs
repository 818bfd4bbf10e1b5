//! What an event is about: the questions by which people filter the log.

use super::Event;
use crate::Name;

/// What an event belongs to, in the words of filters: `wharf events --kind deploys`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Who logged in, and tokens.
    Access,
    /// Containers that changed their state.
    Containers,
    /// Deploys with their steps, and what they switched.
    Deploys,
    /// Hosts that joined, left, drain.
    Hosts,
    /// The server itself: starts, generations, warnings.
    Server,
}

impl Topic {
    /// All of them, by name.
    pub const ALL: [Topic; 5] =
        [Topic::Access, Topic::Containers, Topic::Deploys, Topic::Hosts, Topic::Server];

    /// The word in filters.
    pub fn as_str(self) -> &'static str {
        match self {
            Topic::Access => "access",
            Topic::Containers => "containers",
            Topic::Deploys => "deploys",
            Topic::Hosts => "hosts",
            Topic::Server => "server",
        }
    }

    /// The topic of that name.
    pub fn parse(text: &str) -> Option<Topic> {
        Topic::ALL.into_iter().find(|topic| topic.as_str() == text)
    }
}

impl Event {
    /// What it belongs to.
    pub fn topic(&self) -> Topic {
        match self {
            Event::LoggedIn { .. } | Event::TokenMade { .. } | Event::TokenRemoved { .. } => Topic::Access,
            Event::InstanceChanged { .. }
            | Event::Drifted { .. }
            | Event::OrphanRemoved { .. }
            | Event::Executed { .. }
            | Event::RunStarted { .. }
            | Event::RunEnded { .. } => Topic::Containers,
            Event::DeployStarted { .. }
            | Event::DeployStep { .. }
            | Event::DeployOutput { .. }
            | Event::DeploySucceeded { .. }
            | Event::DeployFailed { .. }
            | Event::DeployAborted { .. }
            | Event::Switched { .. } => Topic::Deploys,
            Event::JoinTokenMade { .. }
            | Event::HostJoined { .. }
            | Event::HostUp { .. }
            | Event::HostLost { .. }
            | Event::HostDrain { .. }
            | Event::HostRemoved { .. } => Topic::Hosts,
            Event::ServerStarted { .. } | Event::GenerationMade { .. } | Event::Warning { .. } => {
                Topic::Server
            }
        }
    }

    /// Whether it names the application. Old records of instances have only the name of the instance, which begins
    /// with the application's, `shop-web-r2-1`; in those an application `shop-web` counts as `shop` too.
    pub fn is_of_app(&self, app: &str) -> bool {
        match self {
            Event::DeployStarted { app: of, .. }
            | Event::DeployStep { app: of, .. }
            | Event::DeploySucceeded { app: of, .. }
            | Event::DeployFailed { app: of, .. }
            | Event::DeployAborted { app: of, .. }
            | Event::Drifted { app: of, .. }
            | Event::Switched { app: of, .. }
            | Event::Executed { app: of, .. }
            | Event::RunStarted { app: of, .. }
            | Event::RunEnded { app: of, .. } => of.as_str() == app,
            Event::InstanceChanged { app: Some(of), .. } => of.as_str() == app,
            Event::InstanceChanged { app: None, instance, .. } => {
                instance.strip_prefix(app).is_some_and(|rest| rest.starts_with('-'))
            }
            _ => false,
        }
    }

    /// The host that it names.
    pub fn host(&self) -> Option<&str> {
        match self {
            Event::HostJoined { host }
            | Event::HostUp { host }
            | Event::HostLost { host }
            | Event::HostDrain { host, .. }
            | Event::HostRemoved { host, .. }
            | Event::Drifted { host, .. }
            | Event::OrphanRemoved { host, .. }
            | Event::Executed { host, .. }
            | Event::RunStarted { host, .. }
            | Event::RunEnded { host, .. }
            | Event::InstanceChanged { host, .. } => Some(host.as_str()),
            Event::JoinTokenMade { host, .. } => host.as_ref().map(Name::as_str),
            _ => None,
        }
    }

    /// Who did it: the name of their token, or `wharf`. What happens by itself was done by nobody.
    pub fn who(&self) -> Option<&str> {
        match self {
            Event::JoinTokenMade { by, .. }
            | Event::HostDrain { by, .. }
            | Event::HostRemoved { by, .. }
            | Event::OrphanRemoved { by, .. }
            | Event::DeployStarted { by, .. }
            | Event::DeployAborted { by, .. }
            | Event::Executed { by, .. }
            | Event::RunStarted { by, .. }
            | Event::TokenMade { by, .. }
            | Event::TokenRemoved { by, .. } => Some(by),
            Event::GenerationMade { author, .. } => Some(author),
            Event::LoggedIn { who } => Some(who),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn an_event_says_what_it_is_about() {
        let instance = |id: &str| Event::InstanceChanged {
            host: name("web1"),
            app: None,
            instance: id.to_owned(),
            state: "healthy".to_owned(),
            detail: String::new(),
        };
        let drain = Event::HostDrain { host: name("web1"), draining: true, by: "ann".to_owned() };
        let deploy = Event::DeployStarted {
            deploy: 1,
            app: name("shop"),
            release: 1,
            what: "deploy".to_owned(),
            by: "ci".to_owned(),
        };
        // Whichever of `shop` and `shop-x` has the service, the name is the same.
        let named = |app: &str| Event::InstanceChanged {
            host: name("web1"),
            app: Some(name(app)),
            instance: "shop-x-web-r1-1".to_owned(),
            state: "healthy".to_owned(),
            detail: String::new(),
        };
        let (of_other, of_shop) = (named("shop-x"), named("shop"));
        let all = [
            (&instance("shop-web-r1-1"), Topic::Containers, true, Some("web1"), None),
            (&instance("shopping-web-r1-1"), Topic::Containers, false, Some("web1"), None),
            (&of_other, Topic::Containers, false, Some("web1"), None),
            (&of_shop, Topic::Containers, true, Some("web1"), None),
            (&drain, Topic::Hosts, false, Some("web1"), Some("ann")),
            (&deploy, Topic::Deploys, true, None, Some("ci")),
        ];
        for (event, topic, is_of_shop, host, who) in all {
            let found = (event.topic(), event.is_of_app("shop"), event.host(), event.who());
            assert_eq!(found, (topic, is_of_shop, host, who), "{event:?}");
        }
    }

    #[test]
    fn topics_are_read_as_they_are_written() {
        for topic in Topic::ALL {
            assert_eq!(Topic::parse(topic.as_str()), Some(topic));
        }
        assert_eq!(Topic::parse("Hosts"), None);
    }
}
