//! Which events a reader wants: `kind=deploys,host_lost&app=shop&host=web1&who=ann&output=false`. All that are given must
//! hold; of several kinds one.

use schemars::JsonSchema;
use serde::Deserialize;
use wharf_base::ErrorCode;
use wharf_http::ApiError;
use wharf_model::{Event, Topic};

/// The filters of a request's query.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub(crate) struct Filter {
    /// Topics ([`Topic`]) and kinds (the `kind` of an event), with commas between.
    kind: Option<String>,
    /// Only what concerns this application.
    app: Option<String>,
    /// Only what concerns this host.
    host: Option<String>,
    /// Only what the holder of this token did.
    who: Option<String>,
    /// `false` leaves out lines of build output. A word and no `bool`: it is read through `flatten`, as text.
    output: Option<String>,
}

impl Filter {
    /// Itself, if its words mean something. An empty value is none, so that a form may send all of its fields.
    pub(crate) fn checked(self) -> Result<Filter, ApiError> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let output = given(self.output);
        if let Some(word) = output.as_deref().filter(|word| !matches!(*word, "true" | "false")) {
            let message = format!("`output={word}` is neither true nor false");
            return Err(ApiError::new(ErrorCode::InvalidArgument, message));
        }
        let (kind, app, host, who) = (given(self.kind), given(self.app), given(self.host), given(self.who));
        Ok(Filter { kind, app, host, who, output })
    }

    /// Whether it leaves nothing out.
    pub(crate) fn takes_all(&self) -> bool {
        let Filter { kind, app, host, who, output } = self;
        [kind, app, host, who].iter().all(|one| one.is_none()) && output.as_deref() != Some("false")
    }

    /// Whether the reader wants this event.
    pub(crate) fn takes(&self, event: &Event) -> bool {
        let is_output = matches!(event, Event::DeployOutput { .. });
        (self.output.as_deref() != Some("false") || !is_output)
            && self.kind.as_deref().is_none_or(|kinds| kinds.split(',').any(|kind| is_of_kind(event, kind)))
            && self.app.as_deref().is_none_or(|app| event.is_of_app(app))
            && self.host.as_deref().is_none_or(|host| event.host() == Some(host))
            && self.who.as_deref().is_none_or(|who| event.who() == Some(who))
    }
}

/// `kind` is a topic, or the word in the event's JSON. A word that is neither matches nothing: it may be a newer server's.
fn is_of_kind(event: &Event, kind: &str) -> bool {
    match Topic::parse(kind) {
        Some(topic) => event.topic() == topic,
        None => serde_json::to_value(event).is_ok_and(|json| json["kind"] == kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(pairs: &[(&str, &str)]) -> Result<Filter, ApiError> {
        let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), serde_json::json!(value)));
        serde_json::from_value::<Filter>(serde_json::Value::Object(pairs.collect())).unwrap().checked()
    }

    #[test]
    fn every_filter_that_is_given_must_hold() {
        let drain = Event::HostDrain { host: "web1".parse().unwrap(), draining: true, by: "ann".to_owned() };
        for (pairs, expected) in [
            (&[][..], true),
            (&[("kind", "hosts")], true),
            (&[("kind", "deploys,host_drain")], true),
            (&[("kind", "deploys")], false),
            (&[("kind", "of_tomorrow")], false),
            (&[("host", "web1"), ("who", "ann"), ("kind", "")], true),
            (&[("host", "web1"), ("who", "bob")], false),
            (&[("app", "shop")], false),
            (&[("output", "false")], true),
        ] {
            assert_eq!(filter(pairs).unwrap().takes(&drain), expected, "{pairs:?}");
        }
        assert!(
            !filter(&[("output", "false")])
                .unwrap()
                .takes(&Event::DeployOutput { deploy: 1, line: String::new() })
        );
        assert!(filter(&[("output", "no")]).is_err());
        assert!(filter(&[("output", "true"), ("app", "")]).unwrap().takes_all());
    }
}
