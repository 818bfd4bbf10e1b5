//! Applications, releases and rollouts.

mod placement;
mod strategy;
mod translate;
