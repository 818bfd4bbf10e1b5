//! Moves instances away from hosts that drain or are lost, and makes those that went with a removed host.
//!
//! Looks whenever the agents report something, when a lost host is given up, and every `move_check`. An application
//! with an instance on such a host that can go elsewhere gets a deploy of kind `move`: new instances elsewhere,
//! healthy, then requests leave the old ones, then those go. What must stay on a lost host is said in an event, once per
//! loss. When the host is back it is told to remove what has moved; nothing moves back by itself.
//! LIMIT: after a try the next one waits for `move_retry` (for a lost host `reschedule_after`), twice as long after
//! each, at most 64 times as long; so hosts that come and go don't push containers around.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;
use wharf_base::Shutdown;
use wharf_model::{Event, Generation, Name};

use crate::handle::Handle;
use crate::losses::Losses;
use crate::strategy;

/// For so long after a try its count is remembered.
const MEMORY: Duration = Duration::from_secs(600);

/// Tries to move one application.
struct Tries {
    next: Instant,
    count: u32,
}

/// Why an application is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    /// A host was removed, or the server has started: it may lack some.
    Lacks,
    Drain,
    Loss,
}

/// What is remembered between two looks.
struct Mover {
    handle: Handle,
    tries: BTreeMap<Name, Tries>,
    /// Not looked at again before then.
    rests: BTreeMap<(Name, Why), Instant>,
    hosts: BTreeSet<Name>,
    /// Applications that may lack instances.
    suspects: BTreeSet<Name>,
    /// What was said about each lost host.
    told: BTreeSet<String>,
}

/// Watches until the server stops.
pub(crate) async fn watch(handle: Handle, shutdown: Shutdown) {
    let mut observed = handle.engine().hosts.observed();
    let suspects = handle.engine().hosts.generation().apps.keys().cloned().collect();
    let mut mover = Mover {
        handle,
        tries: BTreeMap::new(),
        rests: BTreeMap::new(),
        hosts: BTreeSet::new(),
        suspects,
        told: BTreeSet::new(),
    };
    loop {
        let wait = mover.look().await;
        let changed = async {
            if observed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = changed => {}
            // Draining itself is no report, so on a quiet installation only the time brings us here.
            () = tokio::time::sleep(wait) => {}
        }
    }
}

impl Mover {
    /// Looks at everything once. Returns when to look again even if nothing happens.
    async fn look(&mut self) -> Duration {
        let engine = self.handle.engine();
        let losses = engine.losses();
        let hosts: BTreeSet<Name> = engine.hosts.hosts().into_iter().map(|host| host.name).collect();
        let generation = engine.hosts.generation();
        if !self.hosts.is_subset(&hosts) {
            self.suspects.extend(generation.apps.keys().cloned());
        }
        self.hosts = hosts;
        let mut apps: BTreeMap<Name, Why> =
            self.suspects.iter().map(|app| (app.clone(), Why::Lacks)).collect();
        apps.extend(self.draining(&generation).into_iter().map(|app| (app, Why::Drain)));
        apps.extend(on_hosts(&generation, &losses.given_up).map(|app| (app, Why::Loss)));

        let now = Instant::now();
        self.tries.retain(|app, tries| match apps.get(app) {
            Some(_) => true,
            // A drain that was undone and begins again is a new one.
            None => tries.next + MEMORY > now && tries.count > 1,
        });
        self.rests.retain(|_, until| *until > now);
        self.forget(&losses);
        self.tell_too_many(&losses);
        for (app, why) in apps {
            self.look_at(app, why).await;
        }
        let check = self.handle.engine().config.move_check;
        losses.next.map_or(check, |next| check.min(next))
    }

    async fn look_at(&mut self, app: Name, why: Why) {
        let now = Instant::now();
        let count = match self.tries.get(&app) {
            Some(last) if now < last.next => return,
            last => last.map_or(0, |last| last.count),
        };
        if self.rests.contains_key(&(app.clone(), why)) {
            return;
        }
        let config = &self.handle.engine().config;
        let rest = config.move_check;
        let patience = match why {
            Why::Loss => config.reschedule_after.max(Duration::from_secs(1)),
            Why::Lacks | Why::Drain => config.move_retry,
        };
        let foreseen = match self.handle.foresee_move(&app).await {
            Ok(Some(foreseen)) => foreseen,
            // Another deploy runs; we look again when it has ended.
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%app, %error, "it can't be moved now");
                if why != Why::Drain {
                    self.tell(format!("{app}: nothing is started elsewhere: {error}"));
                }
                self.rests.insert((app, why), now + rest);
                return;
            }
        };
        for sentence in foreseen.stays {
            self.tell(format!("{app}: {sentence}"));
        }
        let is_due = if why == Why::Lacks { foreseen.is_addition } else { foreseen.is_change };
        if !is_due {
            self.suspects.remove(&app);
            self.rests.insert((app, why), now + rest);
            return;
        }
        match self.handle.move_away(&app).await {
            Ok(started) => {
                tracing::info!(%app, deploy = started.deploy, ?why, "moving instances to other hosts");
                let next = now + patience * 2u32.pow(count.min(6));
                self.tries.insert(app, Tries { next, count: count + 1 });
            }
            Err(error) => tracing::debug!(%app, %error, "not moved now"),
        }
    }

    /// Applications with an instance on a draining host that can go elsewhere.
    fn draining(&self, generation: &Generation) -> Vec<Name> {
        let hosts = self.handle.engine().hosts.hosts();
        let draining: BTreeSet<&Name> =
            hosts.iter().filter(|host| host.draining).map(|host| &host.name).collect();
        let has_some = |(_, desired): &(&Name, &wharf_model::AppDesired)| {
            desired
                .instances
                .iter()
                .any(|one| draining.contains(&one.host) && !strategy::keeps_data(&one.spec))
        };
        generation.apps.iter().filter(has_some).map(|(app, _)| app.clone()).collect()
    }

    /// Says it once per loss.
    fn tell(&mut self, message: String) {
        if self.told.insert(message.clone()) {
            tracing::warn!("{message}");
            self.handle.engine().emit(Event::Warning { part: "deploy".to_owned(), message });
        }
    }

    fn tell_too_many(&mut self, losses: &Losses) {
        if let Some((lost, all)) = losses.too_many.filter(|(_, all)| *all > 1) {
            self.tell(format!(
                "{lost} of {all} hosts are lost at once, so nothing is started elsewhere: the server itself may be cut \
                 off; `wharf host rm --force HOST` gives a host up"
            ));
        }
    }

    /// What was said of hosts that are no longer lost may be said again.
    fn forget(&mut self, losses: &Losses) {
        if losses.given_up.is_empty() && losses.too_many.is_none() {
            self.told.clear();
        }
    }
}

/// Applications with an instance on one of `hosts`.
fn on_hosts<'a>(generation: &'a Generation, hosts: &'a BTreeSet<Name>) -> impl Iterator<Item = Name> + 'a {
    let has_some = |(_, desired): &(&Name, &wharf_model::AppDesired)| {
        desired.instances.iter().any(|one| hosts.contains(&one.host))
    };
    generation.apps.iter().filter(has_some).map(|(app, _)| app.clone())
}
