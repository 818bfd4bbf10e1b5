//! Removes images that no kept release needs.
//!
//! The server knows what releases need; the agent knows what it has pulled and what it is to run, and the Engine what its
//! containers use, ours or not. Each has its say before anything goes.

use std::collections::BTreeSet;

use wharf_docker::{Engine, Removed, remove_image};
use wharf_model::call::RemoveImages;

use super::Desk;
use crate::Error;

/// Returns how many stay.
pub(super) async fn remove(desk: &Desk, engine: &Engine, call: RemoveImages) -> Result<Option<i64>, Error> {
    let desired = desk.desired.borrow().clone();
    let apps = desired.iter().flat_map(|desired| desired.apps.values());
    let needed: BTreeSet<String> = apps
        .flat_map(|app| {
            let instances = app.instances.iter().map(|one| one.spec.image.clone());
            instances.chain(app.images.iter().map(|one| one.image.clone()))
        })
        .collect();
    let pulled = call.pulled.into_iter().filter(|image| desk.shop.pulled.has(image));
    let (mut gone, mut staying) = (Vec::new(), 0);
    for image in call.built.into_iter().chain(pulled) {
        if needed.contains(&image) {
            staying += 1;
            continue;
        }
        // Not while the same is being pulled.
        let _gate = desk.shop.gates.pass(&format!("image {image}")).await;
        match remove_image(engine, &image).await? {
            Removed::Gone => gone.push(image),
            Removed::InUse => staying += 1,
        }
    }
    desk.shop.pulled.forget(&gone).await;
    tracing::info!(gone = gone.len(), staying, "images of old releases were removed");
    Ok(Some(staying))
}
