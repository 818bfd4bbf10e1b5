//! A plan as lines for people.

use std::collections::BTreeMap;

use wharf_model::{Instance, Name};

use super::{Action, Place, Plan, ServicePlan};

/// The plan in words, one line per service and warning.
pub(crate) fn lines(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::with_capacity(plan.services.len() + plan.warnings.len() + 1);
    lines.push(match (plan.previous, plan.rollout.stages.after.is_some()) {
        (_, false) => format!("{}: everything is removed", plan.app),
        (None, _) => format!("{}: release {}, the first", plan.app, plan.release),
        (Some(now), _) if plan.is_up_to_date() => {
            format!("{}: release {now} is up to date, nothing to do", plan.app)
        }
        (Some(now), _) if now == plan.release => format!("{}: release {now}", plan.app),
        (Some(now), _) => format!("{}: release {} → release {}", plan.app, now, plan.release),
    });
    lines.extend(plan.services.iter().map(line));
    for service in &plan.services {
        let runs = |what: &String| format!("> before the switch, {} runs {what}", service.service);
        lines.extend(service.before_switch.iter().map(runs));
    }
    lines.extend(plan.warnings.iter().map(|warning| format!("! {warning}")));
    lines
}

fn line(service: &ServicePlan) -> String {
    let name = &service.service;
    let (kept, created, removed) = (count(&service.kept), hosts(&service.created), hosts(&service.removed));
    let stay = if service.kept.len() == 1 { "stays" } else { "stay" };
    let mut text = match service.action {
        Action::Keep => format!("= {name}: unchanged, {kept}"),
        Action::Create if service.created.is_empty() => format!("+ {name}: new, no instances"),
        Action::Create => format!("+ {name}: new, on {created}"),
        Action::Remove => format!("- {name}: removed from {removed}"),
        Action::Replace => {
            format!("~ {name}: new beside old, then switched (blue-green): on {created}, old on {removed} go")
        }
        Action::Recreate => format!("~ {name}: stopped on {removed}, then started on {created}"),
        Action::Move => format!("~ {name}: moved from {removed} to {created}, {kept} {stay}"),
        Action::Scale if service.removed.is_empty() => format!("~ {name}: {kept} {stay}, more on {created}"),
        Action::Scale => format!("~ {name}: {kept} {stay}, those on {removed} go"),
    };
    if let Some(once) = &service.once {
        text.push_str(&format!("; not blue-green, because {once}"));
    }
    if !service.changes.is_empty() {
        text.push_str(&format!(" (changed: {})", service.changes.join(", ")));
    }
    text
}

/// Instances with their hosts.
pub(super) fn places(instances: &[Instance]) -> Vec<Place> {
    instances.iter().map(|instance| Place { id: instance.id.clone(), host: instance.host.clone() }).collect()
}

/// Services that go, each with its instances.
pub(super) fn describe_gone(instances: &[Instance]) -> Vec<ServicePlan> {
    let mut services: Vec<ServicePlan> = Vec::new();
    let mut indexes: BTreeMap<&Name, usize> = BTreeMap::new();
    for instance in instances {
        let place = Place { id: instance.id.clone(), host: instance.host.clone() };
        let index = *indexes.entry(&instance.service).or_insert_with(|| {
            services.push(ServicePlan {
                service: instance.service.clone(),
                action: Action::Remove,
                once: None,
                changes: Vec::new(),
                why: Vec::new(),
                kept: Vec::new(),
                created: Vec::new(),
                removed: Vec::new(),
                before_switch: Vec::new(),
            });
            services.len() - 1
        });
        services[index].removed.push(place);
    }
    services
}

fn count(places: &[Place]) -> String {
    match places.len() {
        1 => "1 instance".to_owned(),
        count => format!("{count} instances"),
    }
}

/// `a, b (2)`: hosts in order, with the number where there is more than one.
fn hosts(places: &[Place]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for place in places {
        *counts.entry(place.host.as_str()).or_default() += 1;
    }
    if counts.is_empty() {
        return "no host".to_owned();
    }
    let one =
        |(host, count): (&str, usize)| if count == 1 { host.to_owned() } else { format!("{host} ({count})") };
    counts.into_iter().map(one).collect::<Vec<_>>().join(", ")
}
