//! What outlives a table: targets with their counters and health, releases with theirs.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use wharf_model::Table;

use crate::backend::Backend;
use crate::release::Release;
use crate::table::Compiled;

/// LIMIT: releases that are in no route and still reported; the oldest is forgotten first.
const RELEASES_IDLE_MAX: usize = 64;

/// What outlives a table.
#[derive(Default)]
pub(crate) struct Registry {
    pub(crate) backends: HashMap<(String, SocketAddr), Arc<Backend>>,
    /// In the order of their first table.
    pub(crate) releases: Vec<Arc<Release>>,
    next_uid: u64,
    pub(crate) newest: Table,
}

impl Registry {
    /// The target's state, kept from the table before if it was there.
    pub(crate) fn backend(
        &mut self,
        target: &wharf_model::Target,
        keep: &mut HashMap<(String, SocketAddr), Arc<Backend>>,
    ) -> Arc<Backend> {
        let key = (target.id.clone(), target.address);
        if let Some(backend) = keep.get(&key) {
            return Arc::clone(backend);
        }
        let backend = self.backends.get(&key).cloned().unwrap_or_else(|| {
            self.next_uid += 1;
            Arc::new(Backend::new(self.next_uid, target))
        });
        keep.insert(key, Arc::clone(&backend));
        backend
    }

    pub(crate) fn release(&mut self, route: &wharf_model::Route, workers: usize) -> Arc<Release> {
        let is_same = |known: &&Arc<Release>| {
            known.app == route.app && known.service == route.service && known.release == route.release
        };
        if let Some(known) = self.releases.iter().find(is_same) {
            return Arc::clone(known);
        }
        let release = Arc::new(Release::new(&route.app, &route.service, route.release, workers));
        self.releases.push(Arc::clone(&release));
        release
    }

    pub(crate) fn forget_idle_releases(&mut self, table: &Compiled) {
        let is_idle = |release: &Arc<Release>| {
            !table.routes.iter().any(|route| Arc::ptr_eq(&route.release, release))
                && release.totals().in_flight == 0
        };
        let idle = self.releases.iter().filter(|release| is_idle(release)).count();
        let mut excess = idle.saturating_sub(RELEASES_IDLE_MAX);
        self.releases.retain(|release| {
            let forget = excess > 0 && is_idle(release);
            excess -= usize::from(forget);
            !forget
        });
    }
}
