//! Events without the values of secrets: what an Engine or a container says may quote one.

use wharf_model::Event;
use wharf_model::ports::EventSink;
use wharf_secrets::Redactor;

/// A sink that stores events clean.
#[derive(Clone)]
pub(super) struct Redacted<S>(pub(super) S);

impl<S: EventSink> EventSink for Redacted<S> {
    fn emit(&self, event: Event) {
        self.0.emit(clean(Redactor::process(), event));
    }
}

/// Looks at the event as JSON, so that no text of any kind of event is forgotten.
fn clean(redactor: &Redactor, event: Event) -> Event {
    let Ok(text) = serde_json::to_string(&event) else { return event };
    match redactor.text(&text) {
        std::borrow::Cow::Borrowed(_) => event,
        // A value that happens to be a word of the form itself can't be taken out without breaking it.
        std::borrow::Cow::Owned(clean) => serde_json::from_str(&clean).unwrap_or(event),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_secrets::Secret;

    #[test]
    fn a_value_is_taken_out_of_any_text_of_an_event() {
        let redactor = Redactor::new();
        redactor.add([&Secret::from("plugh \"quoted\" 77")]);
        let line = "password is plugh \"quoted\" 77!".to_owned();
        let cleaned = clean(&redactor, Event::DeployOutput { deploy: 7, line });
        assert_eq!(cleaned, Event::DeployOutput { deploy: 7, line: "password is [secret]!".to_owned() });
    }
}
