//! A generation with an index by host, so that each of a thousand watch streams looks at its own instances only.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use wharf_model::{Generation, Name, OrphanTarget};

use crate::protocol::HostDesired;

/// The newest generation, ready to be handed out in parts.
pub(crate) struct Parts {
    pub(crate) generation: Arc<Generation>,
    /// Of each host: its applications, and the places of its instances in them.
    by_host: HashMap<Name, BTreeMap<Name, Vec<usize>>>,
    /// Orphans that each host is to remove. In memory only: what was asked of a server that stops is asked again.
    prune: BTreeMap<Name, BTreeSet<OrphanTarget>>,
}

impl Parts {
    pub(crate) fn new(generation: Generation) -> Parts {
        let mut by_host: HashMap<Name, BTreeMap<Name, Vec<usize>>> = HashMap::new();
        for (name, app) in &generation.apps {
            for (index, instance) in app.instances.iter().enumerate() {
                let apps = by_host.entry(instance.host.clone()).or_default();
                apps.entry(name.clone()).or_default().push(index);
            }
            for image in &app.images {
                by_host.entry(image.host.clone()).or_default().entry(name.clone()).or_default();
            }
        }
        Parts { generation: Arc::new(generation), by_host, prune: BTreeMap::new() }
    }

    /// The next generation; what is to be removed stays so.
    pub(crate) fn succeeded_by(&self, next: Parts) -> Parts {
        Parts { prune: self.prune.clone(), ..next }
    }

    /// The same with other orphans to remove on one host.
    pub(crate) fn with_prune(&self, host: &Name, targets: BTreeSet<OrphanTarget>) -> Parts {
        let mut prune = self.prune.clone();
        prune.insert(host.clone(), targets);
        prune.retain(|_, targets| !targets.is_empty());
        Parts { generation: Arc::clone(&self.generation), by_host: self.by_host.clone(), prune }
    }

    /// Orphans that a host is to remove.
    pub(crate) fn prune(&self, host: &Name) -> BTreeSet<OrphanTarget> {
        self.prune.get(host).cloned().unwrap_or_default()
    }

    /// One host's part.
    pub(crate) fn of(&self, host: &Name) -> HostDesired {
        let apps = self.by_host.get(host).into_iter().flatten().map(|(name, indexes)| {
            let app = &self.generation.apps[name];
            (name, app, indexes.iter().map(|&index| &app.instances[index]).collect())
        });
        HostDesired::of(self.generation.number, host, apps).with_prune(self.prune(host))
    }

    /// How many instances a host is given.
    pub(crate) fn count(&self, host: &Name) -> usize {
        self.by_host.get(host).map_or(0, |apps| apps.values().map(Vec::len).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{instance, name};
    use wharf_model::{AppDesired, NetworkAttachment, NetworkSpec};

    #[test]
    fn a_part_holds_what_concerns_the_host_and_nothing_else() {
        let mut here = instance("shop", "web", 1, 1);
        here.spec.networks =
            vec![NetworkAttachment { network: "shop_default".to_owned(), ..Default::default() }];
        let mut elsewhere = instance("shop", "web", 1, 2);
        elsewhere.host = name("h2");
        let network = |name: &str| NetworkSpec { name: name.to_owned(), ..Default::default() };
        let app = AppDesired {
            instances: vec![here.clone(), elsewhere],
            networks: vec![network("shop_default"), network("unused")],
            ..Default::default()
        };
        let mut apps = BTreeMap::from([(name("shop"), app)]);
        let part_of = |host: &str, number: u64, apps: &BTreeMap<Name, AppDesired>| {
            Parts::new(Generation { number, apps: apps.clone(), ..Default::default() }).of(&name(host))
        };
        let part = part_of("h1", 1, &apps);
        let shop = &part.apps["shop"];
        assert_eq!((shop.instances.len(), shop.networks.len(), part.instance_count()), (1, 1, 1));
        assert_eq!(shop.instances[0], here);
        assert!(part_of("h3", 1, &apps).apps.is_empty());

        let image = wharf_model::ImageSpec { host: name("h3"), image: "next".to_owned() };
        apps.get_mut("shop").unwrap().images = vec![image.clone()];
        assert_eq!(part_of("h3", 1, &apps).apps["shop"].images, [image]);
        assert_eq!(part_of("h1", 1, &apps).hash, part.hash, "an image for another host is none here");

        apps.get_mut("shop").unwrap().instances.pop();
        assert_eq!(part_of("h1", 2, &apps).hash, part.hash, "a change on another host is none here");
        apps.get_mut("shop").unwrap().instances[0].spec.image = "other".to_owned();
        assert_ne!(part_of("h1", 3, &apps).hash, part.hash);
    }
}
