//! Small values for unit tests.

use std::collections::BTreeMap;

use wharf_model::{ContainerSpec, Instance, Name};

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn instance(app: &str, service: &str, release: u32, slot: u32) -> Instance {
    Instance {
        id: format!("{app}-{service}-r{release}-{slot}"),
        service: name(service),
        release,
        slot,
        host: name("h1"),
        spec: ContainerSpec { image: format!("registry/{app}/{service}"), ..Default::default() },
        serve: None,
        probe: None,
        after: BTreeMap::new(),
    }
}
