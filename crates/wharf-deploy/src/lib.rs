//! Applications, releases and rollouts.

mod placement;
mod plan;
mod strategy;
mod translate;
