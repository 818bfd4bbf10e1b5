//! A pure model of the Engine: what each step of a unit does to containers, networks, volumes and images. It panics on
//! what the Engine would refuse, and on what we must never do.

use std::collections::{BTreeMap, BTreeSet};

use super::super::create::container_name;
use super::super::drift::settings::Settings;
use super::super::found::{Check, Found, Run};
use super::{Step, Unit, Wanted, shared};

pub(super) const OWNER: &str = "me";

/// The state of an Engine.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Model {
    pub(super) containers: Vec<Found>,
    pub(super) networks: BTreeSet<String>,
    pub(super) volumes: BTreeSet<String>,
    pub(super) images: BTreeSet<String>,
    files: BTreeSet<String>,
    created: u32,
}

/// A container as the Engine makes it from a wanted instance.
pub(super) fn container(wanted: &Wanted, id: &str, run: Run) -> Found {
    Found {
        id: id.to_owned(),
        owner: OWNER.to_owned(),
        app: wanted.app.clone(),
        service: wanted.instance.service.clone(),
        release: wanted.instance.release,
        slot: wanted.instance.slot,
        instance: wanted.instance.id.clone(),
        spec: wanted.hash.clone(),
        name: container_name(wanted).to_owned(),
        networks: wanted.instance.spec.networks.iter().map(|one| one.network.clone()).collect(),
        after: wanted.instance.after.keys().cloned().collect(),
        shares: BTreeMap::new(),
        is_on_host: false,
        run,
        check: Check::None,
        address: None,
        published: vec![],
        is_healthy: run == Run::Running,
        was_cut_off: false,
        was_killed: false,
        settings: Some(Settings::wanted(wanted)),
    }
}

impl Model {
    /// Does a unit's steps; `fails_at` is the step at which the Engine refuses. Returns whether all were done.
    pub(super) fn apply(&mut self, unit: &Unit, wanted: &[Wanted], fails_at: Option<usize>) -> bool {
        let mine = wanted.iter().find(|one| one.instance.id == unit.instance);
        let mut created = None;
        for (index, step) in unit.steps.iter().enumerate() {
            if fails_at == Some(index) {
                return false;
            }
            if !self.step(step, mine, wanted, &mut created) {
                return false;
            }
        }
        true
    }

    fn step(
        &mut self,
        step: &Step,
        mine: Option<&Wanted>,
        all: &[Wanted],
        created: &mut Option<String>,
    ) -> bool {
        match step {
            Step::Network(name) => drop(self.networks.insert(name.clone())),
            Step::Volume(name) => drop(self.volumes.insert(name.clone())),
            Step::Files(digest) => drop(self.files.insert(digest.clone())),
            // Where they are is tested beside them; a container without any has no such step.
            Step::Secrets => {}
            Step::Pull(image) => drop(self.images.insert(image.clone())),
            Step::Stop(id) => self.ours(id).run = Run::Exited(137),
            Step::Remove(id) => {
                assert!(!self.ours(id).is_running(), "a running container is stopped first");
                self.containers.retain(|one| one.id != *id);
            }
            Step::Create => {
                let wanted = mine.expect("creates what is wanted");
                self.check_creation(wanted);
                if self.containers.iter().any(|one| one.name == container_name(wanted)) {
                    // 409: the name is taken by a container that is not this unit's to remove.
                    return false;
                }
                self.created += 1;
                let id = format!("new-{}", self.created);
                let ours: Vec<&Found> = self.containers.iter().filter(|one| one.owner == OWNER).collect();
                let shares = shared(wanted, all, &ours);
                self.containers.push(Found { shares, ..container(wanted, &id, Run::Created) });
                *created = Some(id);
            }
            Step::Start(id) => {
                let id = id.clone().or_else(|| created.clone()).expect("starts what there is");
                let wanted = mine.expect("starts what is wanted");
                let one = self.ours(&id);
                one.run = Run::Running;
                (one.is_healthy, one.was_killed, one.was_cut_off) = (true, false, false);
                one.networks = wanted.instance.spec.networks.iter().map(|one| one.network.clone()).collect();
            }
            Step::Connect(id, network) => {
                assert!(self.networks.contains(network), "{network} exists before it is joined");
                self.ours(id).networks.push(network.clone());
            }
            Step::Rename(id) => {
                let name = container_name(mine.expect("renames what is wanted")).to_owned();
                if self.containers.iter().any(|one| one.name == name && one.id != *id) {
                    return false;
                }
                self.ours(id).name = name;
            }
            Step::Update(id) => {
                let settings = Settings::wanted(mine.expect("updates what is wanted"));
                self.ours(id).settings = Some(settings);
            }
            Step::Unpause(id) => {
                let one = self.ours(id);
                assert_eq!(one.run, Run::Paused, "only what is paused goes on");
                (one.run, one.is_healthy) = (Run::Running, true);
            }
        }
        true
    }

    fn check_creation(&self, wanted: &Wanted) {
        let spec = &wanted.instance.spec;
        assert!(self.images.contains(&spec.image), "the image is there before the container is made");
        for network in &spec.networks {
            assert!(self.networks.contains(&network.network), "its networks are there");
        }
    }

    /// A container that a step names: it must be there, and ours.
    fn ours(&mut self, id: &str) -> &mut Found {
        let one = self.containers.iter_mut().find(|one| one.id == id).expect("steps name what is there");
        assert_eq!(one.owner, OWNER, "a container that is not ours is in no step");
        one
    }
}
